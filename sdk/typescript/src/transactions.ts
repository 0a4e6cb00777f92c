/**
 * Transactions as bytes: docs/WIRE.md and docs/TRANSFERS.md. Nothing here speaks to a network.
 *
 *     Transfer, Envelope ─ sign ─▶ Signed ─ submit ─▶ the ledger
 */

import { createHash } from "node:crypto";

import { concat, fixed, fromLittle, type Hexed, little, textBytes, type Whole } from "./bytes.js";
import type { Signer } from "./keys.js";

export const PACKET_BYTES = 128;
const BODY_BYTES = 64;
const PACKETS_MAX = 512;
const PAYLOAD_BYTES_MAX = (PACKETS_MAX - 1) * PACKET_BYTES;
const TRANSFER = 1;
const CROSS_TRANSFER = 2;
const ENVELOPE_MIN = 16;

/** Kinds of envelopes whose payloads are made here. */
export const KINDS = { linked: 16, register: 18, revoke: 19 } as const;

/** A signed transaction. The same bytes can be submitted any number of times: they take effect once. */
export interface Signed {
  /** All packets, as they travel. */
  readonly bytes: Uint8Array;
  /** The id, in hexadecimal. */
  readonly id: string;
}

interface Common {
  readonly chain: number;
  readonly nonce: Whole;
  /** The last height at which it may execute. */
  readonly expiry: Whole;
  /** The version of the account's key; 1 if nothing is said. */
  readonly keyVersion?: number;
  /** Up to 12 bytes of one's own. */
  readonly reference?: string | Uint8Array;
}

/** A payment within a chain; with `creditChain` one to an account of another chain. */
export interface Transfer extends Common {
  readonly debit: Whole;
  readonly credit: Whole;
  readonly amount: Whole;
  readonly creditChain?: number | undefined;
}

/** A transaction of several packets, whose payload says what it does: see `register`, `revoke` and `linked`. */
export interface Envelope extends Common {
  readonly kind: number;
  /** The account that signs. */
  readonly account: Whole;
  readonly payload: Uint8Array;
}

function head(kind: number, common: Common, account: Whole): Uint8Array {
  const reference = textBytes(common.reference ?? "");
  if (reference.length > 12) {
    throw new RangeError(`a reference has at most 12 bytes, and this one ${reference.length}`);
  }
  return concat(
    little(kind, 2, "the kind"),
    new Uint8Array(2),
    little(common.chain, 4, "the chain"),
    little(common.keyVersion ?? 1, 4, "the key version"),
    reference,
    new Uint8Array(12 - reference.length),
    little(account, 8, "the account"),
  );
}

function tail(common: Common): Uint8Array {
  return concat(little(common.nonce, 8, "the nonce"), little(common.expiry, 8, "the expiry"));
}

/** The 64 bytes of a transfer that are signed behind the network id. */
export function transferBody(transfer: Transfer): Uint8Array {
  const { chain, creditChain, credit, amount } = transfer;
  if (creditChain === chain) {
    throw new RangeError("the chain of the credit is the chain of the debit: leave creditChain out");
  }
  const [kind, to] =
    creditChain === undefined
      ? [TRANSFER, little(credit, 8, "the credit account")]
      : [CROSS_TRANSFER, concat(little(creditChain, 4, "the credit chain"), little(credit, 4, "the credit account"))];
  return concat(head(kind, transfer, transfer.debit), to, little(amount, 8, "the amount"), tail(transfer));
}

/** The 64 bytes of an envelope that are signed behind the network id and before the payload. */
export function envelopeBody(envelope: Envelope): Uint8Array {
  const { kind, account, payload } = envelope;
  if (kind < ENVELOPE_MIN) {
    throw new RangeError(`kinds of envelopes begin with ${ENVELOPE_MIN}`);
  }
  if (payload.length < 1 || payload.length > PAYLOAD_BYTES_MAX) {
    throw new RangeError(`a payload has 1 to ${PAYLOAD_BYTES_MAX} bytes, and this one ${payload.length}`);
  }
  const length = little(payload.length, 4, "the payload");
  return concat(head(kind, envelope, account), length, new Uint8Array(12), tail(envelope));
}

/** Signs a transfer or an envelope for one network. */
export async function sign(said: Transfer | Envelope, key: Signer, network: Hexed): Promise<Signed> {
  const body = "payload" in said ? envelopeBody(said) : transferBody(said);
  const payload = "payload" in said ? said.payload : new Uint8Array();
  const message = concat(fixed(network, 32, "a network id"), body, payload);
  const signature = fixed(await key.sign(message), 64, "a signature");
  const filling = new Uint8Array((PACKET_BYTES - (payload.length % PACKET_BYTES)) % PACKET_BYTES);
  return { bytes: concat(body, signature, payload, filling), id: sha256(message) };
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** A fingerprint to be registered. */
export interface Registration {
  readonly fingerprint: Hexed;
  /** The owner's own number for what sort of thing it is; 0 if nothing is said. */
  readonly type?: number;
  /** Data that stands in the transaction, up to 1,024 bytes. */
  readonly data?: Uint8Array;
  /** Or only the SHA-256 of data. */
  readonly dataHash?: Hexed;
  /** An earlier fingerprint, of any owner. */
  readonly refersTo?: Hexed;
  /** Or an earlier one of the same owner, whose place this one takes. */
  readonly supersedes?: Hexed;
}

function registrationBytes(one: Registration): Uint8Array {
  const { data, dataHash, refersTo, supersedes } = one;
  if (refersTo !== undefined && supersedes !== undefined) {
    throw new RangeError("a registration refers to an earlier fingerprint or supersedes it, and not both");
  }
  if (data !== undefined && dataHash !== undefined) {
    throw new RangeError("a registration has data or the hash of data, and not both");
  }
  if (data !== undefined && (data.length < 1 || data.length > 1_024)) {
    throw new RangeError(`data has 1 to 1,024 bytes, and this ${data.length}: register its hash`);
  }
  const earlier = refersTo ?? supersedes;
  const link = refersTo !== undefined ? 1 : supersedes !== undefined ? 2 : 0;
  const attached = data ?? (dataHash === undefined ? new Uint8Array() : fixed(dataHash, 32, "a hash"));
  const form = data !== undefined ? 1 : dataHash !== undefined ? 2 : 0;
  const fingerprint = fixed(one.fingerprint, 32, "a fingerprint");
  if (fingerprint.subarray(0, 16).every((byte) => byte === 0)) {
    throw new RangeError("a fingerprint does not begin with 16 zero bytes: such keys are the ledger's own");
  }
  return concat(
    Uint8Array.of(link, form),
    little(attached.length, 2, "the data"),
    little(one.type ?? 0, 4, "the type"),
    fingerprint,
    earlier === undefined ? new Uint8Array() : fixed(earlier, 32, "a fingerprint"),
    attached,
  );
}

function counted(count: number, what: string): void {
  if (count < 1 || count > 1_000) {
    throw new RangeError(`an envelope has 1 to 1,000 ${what}, and this one ${count}`);
  }
}

/** The payload that registers 1 to 1,000 fingerprints, all or none. */
export function register(registrations: readonly Registration[]): Uint8Array {
  counted(registrations.length, "registrations");
  return concat(little(registrations.length, 2, "registrations"), ...registrations.map(registrationBytes));
}

/** The payload that revokes 1 to 1,000 fingerprints, all or none. */
export function revoke(fingerprints: readonly Hexed[], reason = 0): Uint8Array {
  counted(fingerprints.length, "fingerprints");
  return concat(little(reason, 4, "the reason"), ...fingerprints.map((one) => fixed(one, 32, "a fingerprint")));
}

/** The payload of payments (account, amount) of one payer, all or none. */
export function linked(payments: readonly (readonly [Whole, Whole])[], memo: string | Uint8Array = ""): Uint8Array {
  counted(payments.length, "payments");
  const said = textBytes(memo);
  if (said.length > 256) {
    throw new RangeError(`a memo has at most 256 bytes, and this one ${said.length}`);
  }
  const each = payments.map(([to, amount]) => concat(little(to, 8, "an account"), little(amount, 8, "an amount")));
  return concat(little(payments.length, 2, "payments"), little(said.length, 2, "the memo"), ...each, said);
}

/** What signed bytes say. */
export interface Parsed {
  readonly said: Transfer | Envelope;
  readonly signature: Uint8Array;
}

/** What signed bytes say, and their signature. Transfers of one packet and envelopes are read; others throw. */
export function parse(data: Uint8Array): Parsed {
  if (data.length === 0 || data.length % PACKET_BYTES !== 0 || data.length > PACKETS_MAX * PACKET_BYTES) {
    throw new RangeError(`a transaction has 1 to ${PACKETS_MAX} packets of 128 bytes, not ${data.length} bytes`);
  }
  const number = (from: number, bytes: number): bigint => fromLittle(data.subarray(from, from + bytes));
  const small = (from: number, bytes: number): number => Number(number(from, bytes));
  if (small(2, 2) !== 0) {
    throw new RangeError("the reserved bytes of the transaction are not 0");
  }
  const kind = small(0, 2);
  const signature = data.slice(BODY_BYTES, PACKET_BYTES);
  const common = {
    chain: small(4, 4),
    keyVersion: small(8, 4),
    reference: data.slice(12, 24),
    nonce: number(48, 8),
    expiry: number(56, 8),
  };
  if (kind >= ENVELOPE_MIN) {
    const length = small(32, 4);
    const payload = data.slice(PACKET_BYTES, PACKET_BYTES + length);
    const filling = data.subarray(PACKET_BYTES + length);
    const isWhole = length > 0 && payload.length === length;
    if (!isWhole || filling.length >= PACKET_BYTES || filling.some((byte) => byte !== 0)) {
      throw new RangeError("the packets of the envelope are not what its length says");
    }
    if (data.subarray(36, 48).some((byte) => byte !== 0)) {
      throw new RangeError("bytes 36 to 47 of the envelope are not 0");
    }
    return { said: { ...common, kind, account: number(24, 8), payload }, signature };
  }
  if ((kind !== TRANSFER && kind !== CROSS_TRANSFER) || data.length !== PACKET_BYTES) {
    throw new RangeError(`a transaction of kind ${kind} is not read here: ask a gateway (decode)`);
  }
  const paid = { ...common, debit: number(24, 8), amount: number(40, 8) };
  if (kind === TRANSFER) {
    return { said: { ...paid, credit: number(32, 8) }, signature };
  }
  const creditChain = small(32, 4);
  if (creditChain === common.chain) {
    throw new RangeError("it pays another chain, and names its own");
  }
  return { said: { ...paid, creditChain, credit: number(36, 4) }, signature };
}

/** The id of signed bytes in a network, in hexadecimal. */
export function transactionId(data: Uint8Array, network: Hexed): string {
  const { said } = parse(data);
  const payload = "payload" in said ? said.payload : new Uint8Array();
  return sha256(concat(fixed(network, 32, "a network id"), data.subarray(0, BODY_BYTES), payload));
}
