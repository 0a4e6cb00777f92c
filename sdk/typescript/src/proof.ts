/**
 * Checks proofs, as docs/PROOFS.md says: a proof, the header of the genesis, and nothing else.
 *
 *     claim ─ path ─▶ entry of its chain ─ path ─▶ state root ─ path ─▶ header ─ log ─▶ final header ◀─ a quorum signed
 *
 * Signatures are checked by the rules of ZIP-215, as validators do. Proofs of accounts, transactions, transactions that
 * were never executed, and fingerprints (registered, or not) are read, and histories of fingerprints. What else can
 * stand in a row (records, old keys, charters, reservations, administrators, proposals, members) is not read here: such
 * a proof is refused, and `millrace verify-proof` reads it.
 */

import { ed25519 } from "@noble/curves/ed25519.js";

import { compare, concat, equal, fixed, fromHex, type Hexed, textBytes, toHex } from "./bytes.js";
import { ProofError } from "./errors.js";
import {
  ATTESTATION_BYTES,
  CHAIN_KINDS,
  CHAIN_STATUSES,
  type Claim,
  decodeCertificate,
  decodeGenesis,
  decodeProof,
  type Genesis,
  type Header,
  isNone,
  type Proof,
  Reader,
  sha256,
  type Tree,
} from "./formats.js";

const HISTORY_MAX = 16_384;
const HISTORY_PROOF_BYTES_MAX = 18 << 20;
const NONE = new Uint8Array(32);

/** After the height, an account was so. */
export interface AccountFact {
  readonly fact: "account";
  readonly account: bigint;
  readonly key: string;
  readonly keyVersion: number;
  readonly balance: bigint;
  /** The lowest nonce that may be unspent, and the bits of the 64 from there on (1 is spent). */
  readonly windowBase: bigint;
  readonly windowUsed: bigint;
  /** Bit 0: nothing leaves it; bit 1: nothing new comes to it; bit 2: closing; bit 3: closed for good. */
  readonly flags: number;
}

/** The block of the height has a transaction, with this outcome. */
export interface TransactionFact {
  readonly fact: "transaction";
  readonly id: string;
  /** The code of docs/ERRORS.md. 0 moved money; 9 took it from the payer, and whether it arrived is not proved. */
  readonly code: number;
  readonly position: bigint;
}

/** A transaction with these signed bytes was not executed up to the height and never can be. */
export interface NeverFact {
  readonly fact: "never";
  readonly body: string;
  readonly kind: number;
  readonly account: bigint;
  readonly nonce: bigint;
  readonly expiry: bigint;
}

/** After the height, a chain said this of a fingerprint. */
export interface AttestationFact {
  readonly fact: "attestation";
  readonly fingerprint: string;
  readonly status: "in force" | "superseded" | "revoked";
  readonly owner: bigint;
  readonly registered: bigint;
  /** The height at which it was superseded or revoked. */
  readonly ended: bigint | undefined;
  readonly type: number;
  readonly refersTo: string | undefined;
  readonly supersedes: string | undefined;
  readonly supersededBy: string | undefined;
  /** Of a revocation, the owner's own number. */
  readonly reason: number;
  readonly dataHash: string | undefined;
  /** Bytes of the data, where it stands in the transaction. */
  readonly dataBytes: number;
  readonly history: string;
}

/** After the height, a chain had no attestation of a fingerprint. */
export interface NotRegisteredFact {
  readonly fact: "not registered";
  readonly fingerprint: string;
}

export type Fact = AccountFact | TransactionFact | NeverFact | AttestationFact | NotRegisteredFact;

/** What is proved. */
export interface Statement {
  readonly network: string;
  readonly networkName: string;
  readonly chain: number;
  readonly kind: string;
  readonly status: string;
  /** The height of which the fact speaks. */
  readonly height: bigint;
  readonly issued: bigint;
  readonly burned: bigint;
  readonly fact: Fact;
  /** The block that the certificate makes final, and its time by its proposer's clock. */
  readonly finalHeight: bigint;
  readonly finalTimeMs: bigint;
  readonly epoch: bigint;
  /** How many validators signed, of how many. */
  readonly signed: number;
  readonly validators: number;
}

/** Reads the header of a genesis; with a network id, only the one with that id. */
export function readGenesis(header: Uint8Array, network?: Hexed): Genesis {
  const genesis = decodeGenesis(header);
  if (network !== undefined) {
    const wanted = fixed(network, 32, "a network id");
    if (!equal(genesis.network, wanted)) {
      throw new ProofError(`this header is of network ${toHex(genesis.network)}, and not of ${toHex(wanted)}`);
    }
  }
  return genesis;
}

/**
 * Checks a proof against the header of the genesis, and says what is proved.
 *
 * Who gives the 32 bytes of the network that they trust can take the header from anywhere. Throws `ProofError` with the
 * first thing that is wrong. Compare the fact with what you asked: a proof that holds can speak of something else.
 */
export function verify(proof: Uint8Array, genesisHeader: Uint8Array, network?: Hexed): Statement {
  const genesis = readGenesis(genesisHeader, network);
  const decoded = decodeProof(proof);
  if (!equal(decoded.network, genesis.network)) {
    throw new ProofError("the proof is of another network than the genesis header");
  }
  const last = finalHeader(decoded);
  const { entry, chains, stateRoot } = decoded;
  const tree = { root: stateRoot, size: BigInt(chains) + 1n };
  lead(decoded.firstLeaf, 0n, tree, decoded.heightPath, "the height does not lead to the state root");
  lead(entry.leaf, BigInt(decoded.place) + 1n, tree, decoded.entryPath, "the entry does not lead to the state root");
  const fact = factOf(decoded);
  const { keys, height } = validatorsAfter(genesis, decoded);
  if (last.epoch !== BigInt(decoded.changes.length) || last.height <= height) {
    throw new ProofError(`the final header is of epoch ${last.epoch}; the changes lead to ${decoded.changes.length}`);
  }
  const signed = checkCertificate(decoded.certificate, last, genesis.network, keys);
  return {
    network: toHex(genesis.network),
    networkName: genesis.name,
    chain: entry.chain,
    kind: CHAIN_KINDS[entry.kind] ?? "",
    status: CHAIN_STATUSES[entry.status] ?? "",
    height: decoded.height,
    issued: entry.issued,
    burned: entry.burned,
    fact,
    finalHeight: last.height,
    finalTimeMs: last.timeMs,
    epoch: last.epoch,
    signed,
    validators: keys.length,
  };
}

/** The header that must have a certificate: it carries the state root, or a header in its log does. */
function finalHeader({ carrier, height, stateRoot, rootPath, later }: Proof): Header {
  const place = height - carrier.firstRoot;
  if (place < 0n || place >= carrier.roots) {
    throw new ProofError(`the header carries no state root of height ${height}`);
  }
  const carried = { root: carrier.rootsRoot, size: carrier.roots };
  lead(stateRoot, place, carried, rootPath, "the state root does not lead to the header");
  if (later === undefined) {
    return carrier;
  }
  const log = { root: later.header.logRoot, size: later.header.height };
  lead(carrier.digest, carrier.height, log, later.path, "the header does not lead to the log of the later one");
  return later.header;
}

/** Checks a path of RFC 9162, section 2.1.3.2. */
function lead(leaf: Uint8Array, index: bigint, tree: Tree, path: readonly Uint8Array[], otherwise: string): void {
  if (!leads(leaf, index, tree, path)) {
    throw new ProofError(otherwise);
  }
}

const LEAF = Uint8Array.of(0);
const NODE = Uint8Array.of(1);

/** Whether a leaf stands at a place of a tree. */
function leads(leaf: Uint8Array, index: bigint, tree: Tree, path: readonly Uint8Array[]): boolean {
  if (index >= tree.size) {
    return false;
  }
  let [at, last] = [index, tree.size - 1n];
  let found = sha256(LEAF, leaf);
  for (const sibling of path) {
    if (last === 0n) {
      return false;
    }
    if ((at & 1n) === 1n || at === last) {
      found = sha256(NODE, sibling, found);
      while ((at & 1n) === 0n && at !== 0n) {
        [at, last] = [at >> 1n, last >> 1n];
      }
    } else {
      found = sha256(NODE, found, sibling);
    }
    [at, last] = [at >> 1n, last >> 1n];
  }
  return last === 0n && equal(found, tree.root);
}

function accountOf(leaf: Uint8Array): AccountFact {
  const reader = new Reader(leaf);
  return {
    fact: "account",
    account: reader.big("account"),
    key: toHex(reader.take(32, "key")),
    keyVersion: reader.number(4, "key version"),
    balance: reader.big("balance"),
    windowBase: reader.big("window"),
    windowUsed: reader.big("window"),
    flags: reader.number(4, "flags"),
  };
}

function factOf(proof: Proof): Fact {
  const { claim, entry } = proof;
  switch (claim.kind) {
    case "transaction": {
      const leaf = concat(claim.id, Uint8Array.of(claim.outcome));
      const otherwise = "the transaction does not lead to the entry of its chain";
      lead(leaf, claim.place, entry.transactions, claim.path, otherwise);
      return { fact: "transaction", id: toHex(claim.id), code: claim.outcome, position: claim.place };
    }
    case "row":
      return rowFact(proof, claim);
    case "account":
    case "never": {
      const account = accountOf(claim.leaf);
      const otherwise = "the account does not lead to the entry of its chain";
      lead(claim.leaf, account.account, entry.accounts, claim.path, otherwise);
      return claim.kind === "account" ? account : neverFact(proof, claim.body, account);
    }
  }
}

/** Whether this version of the format knows a kind of transactions. */
function isKnown(kind: number): boolean {
  return (kind >= 1 && kind <= 7) || (kind >= 16 && kind <= 28);
}

function neverFact(proof: Proof, body: Uint8Array, account: AccountFact): NeverFact {
  const reader = new Reader(body);
  const [kind, reserved, chain] = [reader.number(2, "kind"), reader.number(2, "reserved"), reader.number(4, "chain")];
  reader.take(16, "key version and reference");
  const [payer, creditChain] = [reader.big("account"), reader.number(4, "credit")];
  reader.take(12, "credit and amount");
  const [nonce, expiry] = [reader.big("nonce"), reader.big("expiry")];
  if (!isKnown(kind) || reserved !== 0) {
    throw new ProofError("the signed bytes begin no transaction of a kind that is known here");
  }
  if (kind === 2 && creditChain === chain) {
    throw new ProofError("the signed bytes pay another chain, and name this one");
  }
  if (chain !== proof.entry.chain || payer !== account.account) {
    throw new ProofError("the signed bytes are of another chain or account than the proof");
  }
  const ahead = nonce - account.windowBase;
  if (ahead < 0n) {
    throw new ProofError(`the window of nonces has moved past nonce ${nonce}: nothing can be proved of it`);
  }
  if (ahead < 64n && ((account.windowUsed >> ahead) & 1n) === 1n) {
    throw new ProofError(`nonce ${nonce} is spent`);
  }
  if (proof.height < expiry) {
    throw new ProofError(`the transaction can be executed up to height ${expiry}, and this is ${proof.height}`);
  }
  return { fact: "never", body: toHex(body), kind, account: payer, nonce, expiry };
}

function rowFact(proof: Proof, claim: Claim & { kind: "row" }): Fact {
  const isNamed = claim.asked.subarray(0, 16).some((byte) => byte !== 0);
  if (!isNamed || CHAIN_KINDS[proof.entry.kind] !== "attestations") {
    throw new ProofError("this row is of a kind that is not read here: `millrace verify-proof` reads it");
  }
  const leaf = concat(claim.key, claim.next, claim.value);
  lead(leaf, claim.place, proof.entry.table, claim.path, "the row does not lead to the table of its chain");
  const fingerprint = toHex(claim.asked);
  const order = compare(claim.key, claim.asked);
  if (order === 0) {
    return decodeAttestation(fingerprint, claim.value);
  }
  if (order < 0 && (compare(claim.asked, claim.next) < 0 || isNone(claim.next))) {
    return { fact: "not registered", fingerprint };
  }
  throw new ProofError("the row says nothing of this fingerprint");
}

/** Reads what a chain says of a fingerprint: the 168 bytes of docs/ATTESTATIONS.md, in their one form. */
export function decodeAttestation(fingerprint: string, value: Uint8Array): AttestationFact {
  if (value.length !== ATTESTATION_BYTES) {
    throw new ProofError(`an attestation has ${ATTESTATION_BYTES} bytes, and this one ${value.length}`);
  }
  const reader = new Reader(value);
  const [status, link, form, zero] = [0, 1, 2, 3].map(() => reader.number(1, "status"));
  const [type, dataBytes, reason] = [0, 1, 2].map(() => reader.number(4, "numbers")) as [number, number, number];
  const [owner, registered, ended] = [reader.big("owner"), reader.big("height"), reader.big("height")];
  const [dataHash, earlier, later, history] = [0, 1, 2, 3].map(() => reader.take(32, "hashes")) as [
    Uint8Array,
    Uint8Array,
    Uint8Array,
    Uint8Array,
  ];
  const hasLater = !isNone(later);
  const statusFits =
    (status === 0 && ended === 0n && !hasLater && reason === 0) ||
    (status === 1 && hasLater && reason === 0) ||
    (status === 2 && !hasLater);
  const namesOne = earlier.subarray(0, 16).some((byte) => byte !== 0);
  const linkFits = (link === 0 && isNone(earlier)) || ((link === 1 || link === 2) && namesOne);
  const dataFits =
    (form === 0 && dataBytes === 0 && isNone(dataHash)) ||
    (form === 1 && dataBytes > 0) ||
    (form === 2 && dataBytes === 0);
  if (zero !== 0 || !statusFits || !linkFits || !dataFits) {
    throw new ProofError("the fields of the attestation do not fit to each other");
  }
  return {
    fact: "attestation",
    fingerprint,
    status: status === 0 ? "in force" : status === 1 ? "superseded" : "revoked",
    owner,
    registered,
    ended: status === 0 ? undefined : ended,
    type,
    refersTo: link === 1 ? toHex(earlier) : undefined,
    supersedes: link === 2 ? toHex(earlier) : undefined,
    supersededBy: hasLater ? toHex(later) : undefined,
    reason,
    dataHash: form === 0 ? undefined : toHex(dataHash),
    dataBytes,
    history: toHex(history),
  };
}

interface Validators {
  readonly keys: readonly Uint8Array[];
  /** The height of the last change. */
  readonly height: bigint;
}

/** The keys of the validators to whom the changes lead. */
function validatorsAfter(genesis: Genesis, proof: Proof): Validators {
  if (proof.changes.length > 0 && !genesis.membersAreDecided) {
    throw new ProofError("the validators of this network never change, and the proof has changes of them");
  }
  let found: Validators = { keys: genesis.validators, height: 0n };
  for (const [at, { header, certificate, members }] of proof.changes.entries()) {
    const epoch = BigInt(at);
    if (header.epoch !== epoch || header.height <= found.height || members.epoch !== epoch + 1n) {
      throw new ProofError(`the end of epoch ${epoch} does not follow from what stands before it`);
    }
    if (!equal(header.nextMembers, members.digest)) {
      throw new ProofError(`the members behind epoch ${epoch} are others than its last block names`);
    }
    checkCertificate(certificate, header, genesis.network, found.keys);
    found = { keys: members.keys, height: header.height };
  }
  return found;
}

/** Checks that a quorum of an epoch's validators signed that a header is final; how many did. */
function checkCertificate(
  data: Uint8Array,
  header: Header,
  network: Uint8Array,
  keys: readonly Uint8Array[],
): number {
  const certificate = decodeCertificate(data);
  const { signers, signatures } = certificate;
  if (!equal(certificate.payload, header.digest)) {
    throw new ProofError("the certificate is for another block");
  }
  if (certificate.epoch !== header.epoch) {
    throw new ProofError("the certificate is of another epoch than its header");
  }
  if (certificate.view <= certificate.parentView) {
    throw new ProofError("the view of the certificate is not above its parent's");
  }
  if (signers.length !== keys.length) {
    throw new ProofError("the certificate is of another number of validators");
  }
  const quorum = keys.length - Math.floor((keys.length - 1) / 3);
  if (signatures.length < quorum) {
    throw new ProofError(`${signatures.length} validators signed, and a quorum is ${quorum}`);
  }
  const namespace = concat(textBytes("millrace/consensus/1/"), network, textBytes("_FINALIZE"));
  const message = concat(Uint8Array.of(namespace.length), namespace, certificate.proposal);
  const who = [...keys].sort(compare).filter((_, place) => signers[place]);
  for (const [place, key] of who.entries()) {
    if (!verifySignature(key, message, signatures[place] ?? NONE)) {
      throw new ProofError(`the signature of the validator with key ${toHex(key)} does not fit`);
    }
  }
  return who.length;
}

/** Whether a signature is valid by the rules of ZIP-215. */
export function verifySignature(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (publicKey.length !== 32 || signature.length !== 64) {
    return false;
  }
  return ed25519.verify(signature, message, publicKey, { zip215: true });
}

/** What is proved of a fingerprint and of all that it superseded. */
export interface History {
  /** The statement about the last one; its fact is an `AttestationFact`. */
  readonly last: Statement;
  /** Those before it, the last one first. */
  readonly earlier: readonly AttestationFact[];
}

/** Checks a file with the history of an attestation (`millrace query attestation --history --proof`). */
export function verifyHistory(data: Uint8Array, genesisHeader: Uint8Array, network?: Hexed): History {
  const reader = new Reader(data);
  const magic = textBytes("millrace/history/1");
  if (!equal(reader.take(magic.length, "history"), magic)) {
    throw new ProofError("this is no history of version 1");
  }
  const proof = reader.bounded(4, HISTORY_PROOF_BYTES_MAX, "proof");
  const count = reader.number(4, "earlier attestations");
  if (count > HISTORY_MAX || count * ATTESTATION_BYTES > reader.left) {
    throw new ProofError(`a history has at most ${HISTORY_MAX} attestations, and as many as it says`);
  }
  const values = Array.from({ length: count }, () => reader.take(ATTESTATION_BYTES, "earlier attestation"));
  reader.finish();
  const last = verify(proof, genesisHeader, network);
  const { claim } = decodeProof(proof);
  if (last.fact.fact !== "attestation" || claim.kind !== "row") {
    throw new ProofError("the proof of the history speaks of no attestation");
  }
  const earlier: AttestationFact[] = [];
  let [behind, value] = [last.fact, claim.value];
  for (const [number, before] of values.entries()) {
    if (behind.supersedes === undefined) {
      throw new ProofError("the history has attestations to which the last one does not lead");
    }
    const one = decodeAttestation(behind.supersedes, before);
    const isNext = one.supersededBy === behind.fingerprint && one.ended === behind.registered;
    if (one.status !== "superseded" || !isNext) {
      throw new ProofError(`attestation ${number + 1} before the last one is not superseded by the one behind it`);
    }
    checkLink(behind, value, fromHex(one.history), number);
    earlier.push(one);
    [behind, value] = [one, before];
  }
  if (behind.supersedes !== undefined) {
    throw new ProofError("the first attestation supersedes one that is missing");
  }
  checkLink(behind, value, NONE, values.length);
  return { last, earlier };
}

/** Checks that the history of an attestation is that of its registration and of the one before. */
function checkLink(fact: AttestationFact, value: Uint8Array, before: Uint8Array, number: number): void {
  const atFirst = value.slice(0, 136);
  atFirst.fill(0, 0, 1).fill(0, 12, 16).fill(0, 32, 40).fill(0, 104, 136);
  let chained = sha256(textBytes("millrace/attestation"), fromHex(fact.fingerprint), atFirst, before);
  if (fact.status === "revoked") {
    // Reason and height, as they stand in the row.
    chained = sha256(textBytes("millrace/revocation"), chained, value.slice(12, 16), value.slice(32, 40));
  }
  if (toHex(chained) !== fact.history) {
    throw new ProofError(`the hash chain does not hold at attestation ${number} before the last one`);
  }
}
