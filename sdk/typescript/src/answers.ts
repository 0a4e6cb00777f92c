/** What a gateway answers, with the fields that programs use most. `raw` has everything that came. */

import { fromHex } from "./bytes.js";
import { AnswerUnreadable, CODES, TransactionFailed } from "./errors.js";
import { isRaw, type Raw } from "./http.js";

/** Codes of outcomes by their names in answers. */
const OUTCOMES: ReadonlyMap<string, number> = new Map(
  [...CODES].filter(([code]) => code < 32 || code >= 64).map(([code, words]) => [words.replaceAll(" ", "_"), code]),
);
/** The outcome of a payment that is on its way to another chain. */
const SENT = 9;

/** A member that each such answer has. */
export function member(raw: unknown, name: string): unknown {
  if (!isRaw(raw) || raw[name] === undefined) {
    throw new AnswerUnreadable(`the answer lacks the member ${JSON.stringify(name)}`);
  }
  return raw[name];
}

/** A whole number, which beyond 2^53 comes as a string of digits. */
export function big(raw: unknown, name: string): bigint {
  return bigOf(member(raw, name));
}

/** The same of a value by itself. */
export function bigOf(value: unknown): bigint {
  // Up to 2^53, which is the last one that comes as a number.
  if (typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= 2 ** 53) {
    return BigInt(value);
  }
  if (typeof value === "string" && /^\d+$/.test(value)) {
    return BigInt(value);
  }
  throw new AnswerUnreadable(`${JSON.stringify(value)} stands where a whole number is expected`);
}

/** A whole number of up to 53 bits. */
export function small(raw: unknown, name: string): number {
  const value = Number(big(raw, name));
  if (!Number.isSafeInteger(value)) {
    throw new AnswerUnreadable(`the member ${JSON.stringify(name)} is too large`);
  }
  return value;
}

/** A text. */
export function text(raw: unknown, name: string): string {
  const value = member(raw, name);
  if (typeof value !== "string") {
    throw new AnswerUnreadable(`the member ${JSON.stringify(name)} is no text`);
  }
  return value;
}

/** A list. */
export function list(raw: unknown, name: string): readonly unknown[] {
  const value = member(raw, name);
  if (!Array.isArray(value)) {
    throw new AnswerUnreadable(`the member ${JSON.stringify(name)} is no list`);
  }
  return value;
}

function maybe(raw: Raw, name: string): string | undefined {
  return typeof raw[name] === "string" ? raw[name] : undefined;
}

/** The durable height of which an answer speaks. */
export function heightOf(raw: unknown): bigint {
  return big(member(raw, "as_of"), "height");
}

/** A place in what happened on a chain. As text it is `height.place`; every validator understands it. */
export class Cursor {
  constructor(
    readonly height: bigint,
    readonly place: number,
  ) {}

  /** The cursor that a text names. */
  static parse(said: string): Cursor {
    const found = /^(\d{1,20})\.(\d{1,10})$/.exec(said);
    if (found === null) {
      const shown = JSON.stringify(said.slice(0, 80));
      throw new RangeError(`${shown} is no cursor: one is a height and a place with a dot between them, as 17.3`);
    }
    return new Cursor(BigInt(found[1] ?? 0), Number(found[2]));
  }

  /** The place behind this one. */
  next(): Cursor {
    return new Cursor(this.height, this.place + 1);
  }

  /** Whether this place is before another one. */
  isBefore(other: Cursor): boolean {
    return this.height < other.height || (this.height === other.height && this.place < other.place);
  }

  toString(): string {
    return `${this.height}.${this.place}`;
  }
}

/** What is known of a submission. */
export interface Receipt {
  readonly id: string;
  /** `committed`, `failed`, or `accepted` (in one node's memory, and lost if that node ends). */
  readonly status: string;
  /** Of what is decided: the code of docs/ERRORS.md. */
  readonly code?: number;
  /** Of what is decided: its words, with `_` for a space. */
  readonly outcome?: string;
  readonly chain?: number;
  readonly height?: bigint;
  readonly position?: bigint;
}

/** A receipt, if its transaction took effect; throws `TransactionFailed` if it did not. */
export function requireCommitted(receipt: Receipt): Receipt {
  if (receipt.status === "failed" && receipt.code !== undefined) {
    throw new TransactionFailed(receipt.id, receipt.code);
  }
  return receipt;
}

/** Reads a receipt. */
export function receiptOf(raw: Raw): Receipt {
  const outcome = maybe(raw, "outcome");
  return {
    id: text(raw, "id"),
    status: text(raw, "status"),
    ...("code" in raw ? { code: small(raw, "code") } : {}),
    ...(outcome === undefined ? {} : { outcome }),
    ...("chain" in raw ? { chain: small(raw, "chain") } : {}),
    ...("height" in raw ? { height: big(raw, "height") } : {}),
    ...("position" in raw ? { position: big(raw, "position") } : {}),
  };
}

/** A transaction that is in a block. */
export interface Found {
  readonly id: string;
  readonly chain: number;
  readonly height: bigint;
  readonly position: bigint;
  /** What execution made of it there: a code of docs/ERRORS.md. */
  readonly code: number;
  /** The same in the end; undefined while a payment to another chain is on its way. */
  readonly finalCode: number | undefined;
  /** The transaction itself. */
  readonly transaction: Uint8Array;
  readonly said: unknown;
  readonly raw: Raw;
}

/** Reads a transaction. */
export function foundOf(raw: Raw): Found {
  const code = small(raw, "code");
  return {
    id: text(raw, "id"),
    chain: small(raw, "chain"),
    height: big(raw, "height"),
    position: big(raw, "position"),
    code,
    finalCode: finalCode(code, raw["crossing"]),
    transaction: fromHex(text(raw, "packet")),
    said: raw["said"],
    raw,
  };
}

function finalCode(code: number, crossing: unknown): number | undefined {
  if (code !== SENT) {
    return code;
  }
  const state = isRaw(crossing) ? crossing["state"] : undefined;
  if (state === "credited") {
    return 0;
  }
  return state === "refunded" ? (OUTCOMES.get(text(crossing, "reason")) ?? SENT) : undefined;
}

/** The receipt of a transaction that is in a block, once its end is known. */
export function receiptOfFound(found: Found): Receipt | undefined {
  const { id, finalCode: code, chain, height, position } = found;
  if (code === undefined) {
    return undefined;
  }
  const outcome = (CODES.get(code) ?? "").replaceAll(" ", "_");
  return { id, status: code === 0 ? "committed" : "failed", code, outcome, chain, height, position };
}

/** An account at a durable height. Its Merkle path is in `raw` and was not checked: see `Client.proveAccount`. */
export interface Account {
  readonly chain: number;
  readonly account: bigint;
  readonly height: bigint;
  readonly balance: bigint;
  readonly key: Uint8Array;
  readonly keyVersion: number;
  readonly status: string;
  readonly frozen: string;
  readonly nextNonce: bigint;
  /** The lowest nonces that are not used. */
  readonly freeNonces: readonly bigint[];
  readonly raw: Raw;
}

/** Reads an account. */
export function accountOf(raw: Raw): Account {
  return {
    chain: small(raw, "chain"),
    account: big(raw, "account"),
    height: heightOf(raw),
    balance: big(raw, "balance"),
    key: fromHex(text(raw, "key")),
    keyVersion: small(raw, "key_version"),
    status: text(raw, "status"),
    frozen: text(raw, "frozen"),
    nextNonce: big(raw, "next_nonce"),
    freeNonces: list(raw, "free_nonces").map(bigOf),
    raw,
  };
}

/** A committed block. */
export interface Block {
  readonly height: bigint;
  readonly digest: string;
  readonly timeMs: number;
  readonly transactions: bigint;
  readonly failures: bigint;
  readonly raw: Raw;
}

/** Reads a block. */
export function blockOf(raw: Raw): Block {
  return {
    height: big(raw, "height"),
    digest: text(raw, "digest"),
    timeMs: small(raw, "time_ms"),
    transactions: big(raw, "transactions"),
    failures: big(raw, "failures"),
    raw,
  };
}

/** Something that happened on a chain. */
export interface Event {
  readonly at: Cursor;
  /** Where to go on: keep it together with what you have made of this one. */
  readonly next: Cursor;
  /**
   * `executed`, `credited`, `not_credited`, `refunded`, `swapped`; of what took effect by itself `changed`, `released`
   * or `in_effect`.
   */
  readonly kind: string;
  /** The transaction, if it is about one. */
  readonly id: string | undefined;
  readonly outcome: string | undefined;
  /** What the transaction says, by its kind. */
  readonly said: unknown;
  readonly raw: Raw;
}

/** Reads an event. */
export function eventOf(raw: Raw): Event {
  const at = Cursor.parse(text(raw, "at"));
  const [kind, id] = [text(raw, "event"), maybe(raw, "id")];
  const outcome = maybe(raw, "outcome") ?? maybe(raw, "reason");
  return { at, next: at.next(), kind, id, outcome, said: raw["said"], raw };
}

/** Some of what happened, and where to go on. */
export interface Page {
  readonly events: readonly Event[];
  readonly next: Cursor;
  /** Whether it ends with the durable height of the node. */
  readonly atEnd: boolean;
  readonly height: bigint;
}

/** Reads a page. */
export function pageOf(raw: Raw): Page {
  const events = list(raw, "events").map((event) => eventOf(event as Raw));
  const next = Cursor.parse(text(raw, "next"));
  return { events, next, atEnd: member(raw, "at_end") === true, height: heightOf(raw) };
}

/** What a chain says of a fingerprint; its Merkle path is in `raw` and was not checked. */
export interface Attested {
  readonly chain: number;
  readonly fingerprint: string;
  readonly registered: boolean;
  /** The transaction that registered it. */
  readonly transaction: string | undefined;
  /** What was registered with it. */
  readonly data: Uint8Array | undefined;
  readonly height: bigint;
  readonly raw: Raw;
}

/** Reads what a chain says of a fingerprint. */
export function attestedOf(raw: Raw): Attested {
  const data = maybe(raw, "data");
  return {
    chain: small(raw, "chain"),
    fingerprint: text(raw, "fingerprint"),
    registered: member(raw, "registered") === true,
    transaction: maybe(raw, "transaction"),
    data: data ? fromHex(data) : undefined,
    height: heightOf(raw),
    raw,
  };
}
