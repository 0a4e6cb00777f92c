/**
 * The bytes of a proof and of the header of a genesis, decoded as docs/PROOFS.md has them. Nothing is checked here but
 * form: every length before anything is read, each value against its bounds, and no byte may be left over.
 */

import { createHash } from "node:crypto";

import { concat, equal, fromLittle, textBytes, toHex } from "./bytes.js";
import { ProofError } from "./errors.js";

const VALIDATORS_MAX = 128;
const CHAINS_MAX = 256;
const GENESIS_BYTES_MAX = 65_536;
const EPOCH_CHANGES_MAX = 1_024;
const EPOCH_CHANGES_BYTES_MAX = 16 << 20;
const CERTIFICATE_BYTES_MAX = 16_384;
const MEMBERS_BYTES_MAX = 33_164;
const PATH_MAX = 32;
const LOG_PATH_MAX = 64;
const ROW_VALUE_BYTES_MAX = 576;
const PROOF_BYTES_MAX = EPOCH_CHANGES_BYTES_MAX + (1 << 16);
const HEADER_BYTES = 208;
const ENTRY_BYTES = 239;
export const ACCOUNT_BYTES = 72;
export const ATTESTATION_BYTES = 168;
const HEIGHT_MAX = 2n ** 64n - 1n;
const NOBODY = 2n ** 64n - 1n;
const ZEROS = new Uint8Array(32);

export const CHAIN_KINDS = ["", "transfers", "attestations", "governance"] as const;
export const CHAIN_STATUSES = ["active", "paused", "closed"] as const;
const [TRANSFERS, ATTESTATIONS, GOVERNANCE] = [1, 2, 3];

/** SHA-256 of parts, one behind the other. */
export function sha256(...parts: Uint8Array[]): Uint8Array {
  const hash = createHash("sha256");
  parts.forEach((part) => hash.update(part));
  return new Uint8Array(hash.digest());
}

/** Whether 32 bytes are zeros. */
export function isNone(bytes: Uint8Array): boolean {
  return equal(bytes, ZEROS);
}

/** Reads bytes from the front, and never past their end. */
export class Reader {
  #at = 0;

  constructor(readonly data: Uint8Array) {}

  /** How many bytes follow. */
  get left(): number {
    return this.data.length - this.#at;
  }

  /** The next bytes. */
  take(count: number, what: string): Uint8Array {
    if (count > this.left) {
      throw new ProofError(`the bytes end inside the ${what}`);
    }
    this.#at += count;
    return this.data.slice(this.#at - count, this.#at);
  }

  /** The next number of so many bytes, at most 6. */
  number(count: number, what: string): number {
    return Number(fromLittle(this.take(count, what)));
  }

  /** The next number of 8 bytes. */
  big(what: string): bigint {
    return fromLittle(this.take(8, what));
  }

  /** Bytes with their length before them. */
  bounded(lengthBytes: number, most: number, what: string): Uint8Array {
    const length = this.number(lengthBytes, what);
    if (length > most) {
      throw new ProofError(`the ${what}: ${length} is more than ${most}`);
    }
    return this.take(length, what);
  }

  /** The siblings of a path, lowest first. */
  path(most = PATH_MAX): Uint8Array[] {
    const count = this.number(1, "path");
    if (count > most) {
      throw new ProofError(`a path has ${count} siblings, and ${most} at most`);
    }
    return Array.from({ length: count }, () => this.take(32, "path"));
  }

  /** A text of up to 64 bytes. */
  text(lengthBytes: number, what: string): string {
    const found = this.bounded(lengthBytes, 64, what);
    if (found.length === 0) {
      throw new ProofError(`the ${what} is empty`);
    }
    try {
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(found);
    } catch {
      throw new ProofError(`the ${what} is no UTF-8`);
    }
  }

  /** A number that is one of those that are known. */
  oneOf(count: number, known: readonly number[], what: string): number {
    const found = this.number(count, what);
    if (!known.includes(found)) {
      throw new ProofError(`the ${what} ${found} is unknown here`);
    }
    return found;
  }

  /** Nothing may follow. */
  finish(): void {
    if (this.left > 0) {
      throw new ProofError(`${this.left} bytes follow behind the end`);
    }
  }
}

function begins(reader: Reader, magic: string, what: string): void {
  if (!equal(reader.take(magic.length, what), textBytes(magic))) {
    throw new ProofError(`this is no ${what} that begins with ${magic}`);
  }
}

/** The header of a genesis. */
export interface Genesis {
  /** The network id: the SHA-256 of the header. */
  readonly network: Uint8Array;
  readonly name: string;
  /** The keys of the validators' votes, by their places. */
  readonly validators: readonly Uint8Array[];
  readonly membersAreDecided: boolean;
}

/** Reads the header of a genesis. */
export function decodeGenesis(data: Uint8Array): Genesis {
  if (data.length > GENESIS_BYTES_MAX) {
    throw new ProofError(`a genesis header has at most ${GENESIS_BYTES_MAX} bytes, and this one ${data.length}`);
  }
  const reader = new Reader(data);
  begins(reader, "millrace/genesis-header/10", "genesis header");
  const name = reader.text(4, "name of the network");
  const validators: Uint8Array[] = [];
  const certificates: Uint8Array[] = [];
  for (let count = counted(reader, VALIDATORS_MAX, "validators"); count > 0; count--) {
    reader.text(4, "name of a validator");
    validators.push(reader.take(32, "key of a validator"));
    certificates.push(reader.take(32, "certificate of a validator"));
  }
  distinct(validators, certificates);
  const membersAreDecided = reader.oneOf(1, [0, 1], "membership") === 1;
  if (reader.oneOf(1, [0, 1], "origin") === 1) {
    reader.take(32, "origin");
    const height = reader.big("origin");
    if (height === 0n || height === HEIGHT_MAX) {
      throw new ProofError("nothing goes on from the height of the origin");
    }
    reader.take(96, "origin");
  }
  let last = -1;
  let deciding = 0;
  for (let count = counted(reader, CHAINS_MAX, "chains"); count > 0; count--) {
    const chain = readChain(reader);
    if (chain.id <= last) {
      throw new ProofError("the ids of the chains do not ascend");
    }
    last = chain.id;
    deciding += Number(chain.kind === GOVERNANCE);
  }
  reader.finish();
  if (deciding > 1 || (membersAreDecided && deciding === 0)) {
    throw new ProofError("the genesis has not the one chain that decides");
  }
  return { network: sha256(data), name, validators, membersAreDecided };
}

function counted(reader: Reader, most: number, what: string): number {
  const count = reader.number(4, what);
  if (count < 1 || count > most) {
    throw new ProofError(`there are 1 to ${most} ${what}, and not ${count}`);
  }
  return count;
}

function distinct(...lists: readonly Uint8Array[][]): void {
  if (lists.some((list) => new Set(list.map(toHex)).size < list.length)) {
    throw new ProofError("two validators share a key or a certificate");
  }
}

function readChain(reader: Reader): { id: number; kind: number } {
  const id = reader.number(4, "chain");
  const kind = reader.oneOf(2, [1, 2, 3], "kind of a chain");
  reader.oneOf(2, [1], "suite of a chain");
  const hasAsset = reader.take(16, "asset of a chain").some((byte) => byte !== 0);
  const issuer = reader.big("issuer of a chain");
  const cap = reader.big("issuance cap of a chain");
  reader.take(24, "roles of a chain");
  const attestations = reader.big("attestations cap of a chain");
  const [rekey, recovery, quota] = [0, 1, 2].map(() => reader.number(4, "windows and quota of a chain")) as [
    number,
    number,
    number,
  ];
  const threshold = reader.number(4, "threshold of a chain");
  const accounts = reader.big("accounts of a chain");
  reader.take(32, "accounts root of a chain");
  const supply = reader.big("supply of a chain");
  if (accounts < 1n || accounts > 1n << 32n) {
    throw new ProofError("a chain has 1 to 2^32 accounts");
  }
  if (rekey < 1 || rekey >= recovery || recovery > 31_622_400) {
    throw new ProofError("the window of a recovery is the longer one, of at most 366 days");
  }
  if (quota < 65_536 || quota > 8_388_608) {
    throw new ProofError("the quota of a chain is 64 KiB to 8 MiB");
  }
  const hasMoney = hasAsset || issuer !== NOBODY || cap > 0n || supply > 0n;
  const fits =
    kind === TRANSFERS
      ? hasAsset && attestations === 0n
      : kind === ATTESTATIONS
        ? !hasMoney && attestations >= 1n && attestations < 1n << 32n
        : !hasMoney && attestations === 0n && accounts <= 16n;
  if (!fits || threshold > 0 !== (kind === GOVERNANCE) || BigInt(threshold) > accounts) {
    throw new ProofError("the kind of a chain does not fit to its other fields");
  }
  return { id, kind };
}

/** The header of a block in its short form. */
export interface Header {
  readonly height: bigint;
  readonly timeMs: bigint;
  readonly epoch: bigint;
  readonly roots: bigint;
  readonly firstRoot: bigint;
  readonly nextMembers: Uint8Array;
  readonly rootsRoot: Uint8Array;
  readonly logRoot: Uint8Array;
  readonly digest: Uint8Array;
}

function readHeader(outer: Reader): Header {
  const data = outer.take(HEADER_BYTES, "header");
  const reader = new Reader(data);
  const height = reader.big("height");
  reader.big("view");
  const timeMs = reader.big("time");
  reader.number(2, "proposer");
  const roots = BigInt(reader.number(2, "state roots"));
  const heads = reader.number(4, "heads");
  const epoch = reader.big("epoch");
  reader.take(32, "parent");
  const firstRoot = reader.big("height of the first state root");
  const nextMembers = reader.take(32, "next validators");
  const rootsRoot = reader.take(32, "state roots");
  reader.take(32, "heads");
  const logRoot = reader.take(32, "log");
  if (height === 0n || height === HEIGHT_MAX) {
    throw new ProofError("a header cannot have this height");
  }
  if (roots > 64n || firstRoot + roots > height) {
    throw new ProofError("a header carries at most 64 state roots, of heights below its own");
  }
  if (heads < 1 || heads > VALIDATORS_MAX) {
    throw new ProofError("a header has 1 to 128 heads");
  }
  const digest = sha256(textBytes("millrace/block/3"), data);
  return { height, timeMs, epoch, roots, firstRoot, nextMembers, rootsRoot, logRoot, digest };
}

/** The validators of an epoch. */
export interface Members {
  readonly epoch: bigint;
  /** The keys of their votes, by their places. */
  readonly keys: readonly Uint8Array[];
  readonly digest: Uint8Array;
}

function decodeMembers(data: Uint8Array): Members {
  const reader = new Reader(data);
  const epoch = reader.big("epoch of the members");
  const count = reader.number(2, "members");
  if (count < 1 || count > VALIDATORS_MAX) {
    throw new ProofError("there are 1 to 128 members");
  }
  const keys: Uint8Array[] = [];
  const certificates: Uint8Array[] = [];
  for (let at = 0; at < count; at++) {
    reader.text(1, "name of a member");
    keys.push(reader.take(32, "key of a member"));
    certificates.push(reader.take(32, "certificate of a member"));
    for (let side = 0; side < 2; side++) {
      if (reader.bounded(1, 64, "address of a member").some((letter) => letter < 33 || letter > 126)) {
        throw new ProofError("an address of a member has other letters than printable ASCII");
      }
    }
  }
  if (reader.left > 0 && reader.number(2, "rules of the members") < 2) {
    throw new ProofError("rules 1 are not written");
  }
  reader.finish();
  distinct(keys, certificates);
  return { epoch, keys, digest: sha256(textBytes("millrace/members"), data) };
}

/** A finalization certificate. */
export interface Certificate {
  readonly epoch: bigint;
  readonly view: bigint;
  readonly parentView: bigint;
  readonly payload: Uint8Array;
  readonly signers: readonly boolean[];
  readonly signatures: readonly Uint8Array[];
  /** What each of them signs, behind the namespace. */
  readonly proposal: Uint8Array;
}

/** Reads a certificate. */
export function decodeCertificate(data: Uint8Array): Certificate {
  const reader = new Reader(data);
  const [epoch, view, parentView] = [variable(reader, 64), variable(reader, 64), variable(reader, 64)];
  const payload = reader.take(32, "payload of the certificate");
  const proposal = data.slice(0, data.length - reader.left);
  const bits = fromLittle(reader.take(8, "signers of the certificate").reverse());
  if (bits > BigInt(VALIDATORS_MAX)) {
    throw new ProofError("the certificate counts more than 128 validators");
  }
  const field = reader.take(Number((bits + 7n) / 8n), "signers of the certificate");
  const all = Array.from(field).flatMap((byte) => [0, 1, 2, 3, 4, 5, 6, 7].map((bit) => ((byte >> bit) & 1) === 1));
  const signers = all.slice(0, Number(bits));
  if (all.slice(Number(bits)).includes(true)) {
    throw new ProofError("bits beyond the last validator are set");
  }
  const count = Number(variable(reader, 32));
  if (count === 0 || count !== signers.filter((signed) => signed).length) {
    throw new ProofError("there is not one signature for each validator that signed");
  }
  const signatures = Array.from({ length: count }, () => reader.take(64, "signatures of the certificate"));
  reader.finish();
  return { epoch, view, parentView, payload, signers, signatures, proposal };
}

function variable(reader: Reader, bits: number): bigint {
  let number = 0n;
  for (let shift = 0; ; shift += 7) {
    const byte = reader.number(1, "certificate");
    number |= BigInt(byte & 0x7f) << BigInt(shift);
    const goesOn = (byte & 0x80) !== 0;
    // The last group is not zero unless it is the only one, and nothing reaches beyond the highest bit.
    if ((byte === 0 && shift > 0) || number >> BigInt(bits) !== 0n || (goesOn && shift + 7 >= bits)) {
      throw new ProofError("a number of the certificate is not in its one form");
    }
    if (!goesOn) {
      return number;
    }
  }
}

/** The last block of an epoch, its certificate, and who follows. */
export interface EpochChange {
  readonly header: Header;
  readonly certificate: Uint8Array;
  readonly members: Members;
}

type Path = readonly Uint8Array[];

/** What is to be proved, with its path to a root of the chain's entry. */
export type Claim =
  | { readonly kind: "account"; readonly leaf: Uint8Array; readonly path: Path }
  | {
      readonly kind: "transaction";
      readonly id: Uint8Array;
      readonly outcome: number;
      readonly place: bigint;
      readonly path: Path;
    }
  | { readonly kind: "never"; readonly body: Uint8Array; readonly leaf: Uint8Array; readonly path: Path }
  | {
      readonly kind: "row";
      readonly asked: Uint8Array;
      readonly place: bigint;
      readonly key: Uint8Array;
      readonly next: Uint8Array;
      readonly value: Uint8Array;
      readonly path: Path;
    };

/** Root and size of a tree. */
export interface Tree {
  readonly root: Uint8Array;
  readonly size: bigint;
}

/** What a state root says of a chain. */
export interface Entry {
  readonly leaf: Uint8Array;
  readonly chain: number;
  readonly kind: number;
  readonly status: number;
  readonly transactions: Tree;
  readonly accounts: Tree;
  readonly table: Tree;
  readonly issued: bigint;
  readonly burned: bigint;
}

/** A proof, decoded. It is a claim until `verify` says otherwise. */
export interface Proof {
  readonly network: Uint8Array;
  readonly changes: readonly EpochChange[];
  readonly claim: Claim;
  readonly height: bigint;
  readonly firstLeaf: Uint8Array;
  readonly chains: number;
  readonly heightPath: Path;
  readonly place: number;
  readonly entry: Entry;
  readonly entryPath: Path;
  readonly stateRoot: Uint8Array;
  readonly rootPath: Path;
  readonly carrier: Header;
  readonly later: { readonly path: Path; readonly header: Header } | undefined;
  readonly certificate: Uint8Array;
}

/** Reads a proof. */
export function decodeProof(data: Uint8Array): Proof {
  if (data.length > PROOF_BYTES_MAX) {
    throw new ProofError(`${data.length} bytes are more than any proof has`);
  }
  const reader = new Reader(data);
  begins(reader, "millrace/proof/8", "proof");
  const network = reader.take(32, "network id");
  const count = reader.number(2, "epoch changes");
  if (count > EPOCH_CHANGES_MAX) {
    throw new ProofError(`a proof has at most ${EPOCH_CHANGES_MAX} epoch changes, and this one ${count}`);
  }
  const before = reader.left;
  const changes = Array.from({ length: count }, () => readChange(reader));
  if (before - reader.left > EPOCH_CHANGES_BYTES_MAX) {
    throw new ProofError("the epoch changes have more than 16 MiB");
  }
  const claim = readClaim(reader);
  const heightBytes = reader.take(8, "height");
  const chainsBytes = reader.take(4, "number of chains");
  const heightPath = reader.path();
  const place = reader.number(4, "place of the chain");
  const entry = decodeEntry(reader.take(ENTRY_BYTES, "entry of the chain"));
  const entryPath = reader.path();
  const stateRoot = reader.take(32, "state root");
  const rootPath = reader.path();
  const carrier = readHeader(reader);
  const hasLater = reader.oneOf(1, [0, 1], "number of later headers") === 1;
  const later = hasLater ? { path: reader.path(LOG_PATH_MAX), header: readHeader(reader) } : undefined;
  const certificate = reader.bounded(2, CERTIFICATE_BYTES_MAX, "certificate");
  reader.finish();
  const [height, chains] = [fromLittle(heightBytes), Number(fromLittle(chainsBytes))];
  const firstLeaf = concat(heightBytes, chainsBytes);
  return {
    network, changes, claim, height, firstLeaf, chains, heightPath, place, entry, entryPath, stateRoot, rootPath,
    carrier, later, certificate,
  };
}

function readChange(reader: Reader): EpochChange {
  const header = readHeader(reader);
  const certificate = reader.bounded(2, CERTIFICATE_BYTES_MAX, "certificate");
  return { header, certificate, members: decodeMembers(reader.bounded(2, MEMBERS_BYTES_MAX, "members")) };
}

function readClaim(reader: Reader): Claim {
  const leaf = (): Uint8Array => reader.take(ACCOUNT_BYTES, "account");
  switch (reader.oneOf(1, [1, 2, 3, 4], "kind of the proof")) {
    case 1:
      return { kind: "account", leaf: leaf(), path: reader.path() };
    case 2: {
      const [id, outcome] = [reader.take(32, "id"), reader.number(1, "outcome")];
      return { kind: "transaction", id, outcome, place: reader.big("place"), path: reader.path() };
    }
    case 3:
      return { kind: "never", body: reader.take(64, "signed bytes"), leaf: leaf(), path: reader.path() };
    default: {
      const [asked, place] = [reader.take(32, "key"), reader.big("place")];
      const [key, next] = [reader.take(32, "key of the row"), reader.take(32, "next key")];
      const value = reader.bounded(2, ROW_VALUE_BYTES_MAX, "value");
      return { kind: "row", asked, place, key, next, value, path: reader.path() };
    }
  }
}

function decodeEntry(leaf: Uint8Array): Entry {
  const reader = new Reader(leaf);
  const chain = reader.number(4, "chain");
  const kind = reader.oneOf(2, [1, 2, 3], "kind of the entry");
  const status = reader.oneOf(1, [0, 1, 2], "status of the entry");
  reader.take(16, "asset");
  const tree = (): Tree => ({ root: reader.take(32, "tree"), size: reader.big("tree") });
  const [transactions, accounts] = [tree(), tree()];
  // Outbox and inbox.
  reader.take(80, "trees");
  const table = tree();
  const [issued, burned] = [reader.big("issued"), reader.big("burned")];
  return { leaf, chain, kind, status, transactions, accounts, table, issued, burned };
}
