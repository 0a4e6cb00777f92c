/** The client: asks one gateway, and goes on with the others where it does not answer. */

import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

import {
  type Account,
  accountOf,
  type Attested,
  attestedOf,
  bigOf,
  type Block,
  blockOf,
  Cursor,
  type Event,
  type Found,
  foundOf,
  heightOf,
  list,
  member,
  type Page,
  pageOf,
  type Receipt,
  receiptOf,
  receiptOfFound,
  text,
} from "./answers.js";
import { equal, fixed, fromHex, type Hexed, toHex, whole, type Whole } from "./bytes.js";
import {
  AnswerUnreadable,
  ApiError,
  Behind,
  ConnectionFailed,
  MillraceError,
  NotFound,
  ProofError,
  TooMany,
  Unavailable,
  Unheard,
  WrongNetwork,
  WrongReceipt,
} from "./errors.js";
import { type Answer, Endpoint, LinkBroken, type Query, type Raw } from "./http.js";
import { readGenesis, type Statement, verify } from "./proof.js";
import { blocksCourse, type Course, eventsCourse, follow, snapshotsCourse } from "./streams.js";
import { type Signed, transactionId } from "./transactions.js";

/**
 * Refusals that say nothing about the transaction: the same bytes may be taken a little later or elsewhere. Duplicate
 * pending, sender full, busy, stopping, not a member; and what a gateway says of itself.
 */
const AGAIN: ReadonlySet<number> = new Set([40, 41, 42, 43, 52, 1003, 1010, 1012, -32603]);
/** Answers behind which the transaction may be in a block: its like waits, or its fate was lost on the way. */
const MAYBE_TAKEN: ReadonlySet<number> = new Set([40, 1003, -32603]);
/** Refusals that a transaction also gets when it has been executed before. */
const PERHAPS_DONE: ReadonlySet<number> = new Set([34, 35]);
/**
 * Refusals that hold everywhere and from then on: malformed, wrong chain, expired, replayed, bad signature. All else
 * may be true of the node that says it alone, whose height, token or chains are not those of where the bytes may wait.
 */
const NEVER: ReadonlySet<number> = new Set([32, 33, 34, 35, 39]);
/** How long one gateway is waited for when there are others. */
const SLICE_MS = 10_000;
/** The longest wait that a gateway takes. */
const WAIT_MS_MAX = 60_000;
/** What an answer may take beyond the wait that was asked for. */
const MARGIN_MS = 10_000;
const PAUSE_MAX_MS = 2_000;
const OCTETS = "application/octet-stream";

/** What a client is to be like. */
export interface ClientOptions {
  /** The network id that you trust; without it the one that the first gateway tells is taken. */
  readonly network?: Hexed;
  /** The header of the genesis, with which proofs are checked: its bytes, or the path of its file. */
  readonly genesis?: Uint8Array | string;
  /** For gateways beyond this machine. */
  readonly token?: string;
  /** A file (PEM) with the authorities that are trusted, where those of the system are not. */
  readonly caFile?: string;
  /** How long a question may take, over all gateways; 30,000 if nothing is said. */
  readonly timeoutMs?: number;
  /** The first pause before something is tried again; 100 if nothing is said. */
  readonly pauseMs?: number;
}

/** How something is submitted. */
export interface SubmitOptions {
  /** For what to wait; `committed` if nothing is said. */
  readonly wait?: "committed" | "accepted";
  /** How long, over all attempts; 60,000 if nothing is said. */
  readonly timeoutMs?: number;
  /** Whether the receipt says where the transaction is. */
  readonly full?: boolean;
}

/** Which events are wanted. */
export interface Wanted {
  readonly account?: Whole;
  readonly reference?: string;
  readonly start?: Cursor;
}

/** A network, through the gateways of one or more of its nodes. */
export class Client {
  readonly #endpoints: readonly Endpoint[];
  readonly #timeoutMs: number;
  readonly #pauseMs: number;
  readonly #genesis: Uint8Array | undefined;
  readonly #known = new Set<Endpoint>();
  #network: Uint8Array | undefined;
  #turn = 0;

  /** Takes addresses such as `https://pay.example`. */
  constructor(endpoints: string | readonly string[], options: ClientOptions = {}) {
    const urls = typeof endpoints === "string" ? [endpoints] : endpoints;
    if (urls.length === 0) {
      throw new RangeError("a client needs the address of a gateway at least");
    }
    this.#timeoutMs = options.timeoutMs ?? 30_000;
    this.#pauseMs = options.pauseMs ?? 100;
    const ca = options.caFile === undefined ? undefined : readFileSync(options.caFile, "utf8");
    const access = { token: options.token, ca, timeoutMs: this.#timeoutMs };
    this.#endpoints = urls.map((url) => new Endpoint(url, access));
    const { network, genesis } = options;
    this.#network = network === undefined ? undefined : fixed(network, 32, "a network id");
    if (genesis !== undefined) {
      this.#genesis = typeof genesis === "string" ? new Uint8Array(readFileSync(genesis)) : genesis;
      this.#network = readGenesis(this.#genesis, this.#network).network;
    }
  }

  /** Closes the connections that are kept open. */
  close(): void {
    this.#endpoints.forEach((endpoint) => endpoint.close());
  }

  /** The network id: the one that was given, or the one that the first gateway told. */
  async network(): Promise<Uint8Array> {
    if (this.#network === undefined) {
      await this.#get("/v1/status");
    }
    if (this.#network === undefined) {
      throw new ConnectionFailed("no gateway told its network");
    }
    return this.#network;
  }

  // Questions

  /** How the node is, as it tells it. */
  async status(): Promise<Raw> {
    return member(await this.#get("/v1/status"), "status") as Raw;
  }

  /** The newest height that is durable on the node. */
  async height(): Promise<bigint> {
    return heightOf(await this.#get("/v1/status"));
  }

  /** Who validates in the present epoch, by the node's word. */
  async validators(): Promise<readonly Raw[]> {
    return list(await this.#get("/v1/validators"), "validators") as readonly Raw[];
  }

  /** All chains of the network. */
  async chains(): Promise<readonly Raw[]> {
    return list(await this.#get("/v1/chains"), "chains") as readonly Raw[];
  }

  /** A chain: its kind, its status, what it has. */
  async chain(chain: number): Promise<Raw> {
    return this.#get(ofChain(chain));
  }

  /** A committed block. */
  async block(height: Whole): Promise<Block> {
    return blockOf(await this.#get(`/v1/blocks/${whole(height, 64, "the height")}`));
  }

  /** An account at the newest durable height; with `minHeight` not before that one. */
  async account(chain: number, account: Whole, minHeight?: Whole): Promise<Account> {
    const path = `${ofChain(chain)}/accounts/${whole(account, 64, "the account")}`;
    return accountOf(await this.#get(path, { min_height: minHeight }));
  }

  /** The accounts of a chain that have a public key, ascending. */
  async *accountsOf(chain: number, key: Uint8Array): AsyncGenerator<bigint> {
    for (let from = 0n; ; ) {
      const answer = await this.#get(`${ofChain(chain)}/accounts`, { key: toHex(key), from });
      const accounts = list(answer, "accounts").map(bigOf);
      yield* accounts;
      const last = accounts.at(-1);
      if (last === undefined || member(answer, "more") !== true) {
        return;
      }
      from = last + 1n;
    }
  }

  /** Where a transaction is, and what became of it. Throws `NotFound` if it is in no block. */
  async transaction(id: string, options: { chain?: number; minHeight?: Whole } = {}): Promise<Found> {
    const query = { chain: options.chain, min_height: options.minHeight };
    return foundOf(await this.#get(`/v1/transactions/${encodeURIComponent(id)}`, query));
  }

  /** What a chain says of a fingerprint; also that it is not registered. */
  async attestation(chain: number, fingerprint: Hexed, minHeight?: Whole): Promise<Attested> {
    const path = `${ofChain(chain)}/attestations/${hexed(fingerprint)}`;
    return attestedOf(await this.#get(path, { min_height: minHeight }));
  }

  /** Some of what happened on a chain, or to one account. Pages stay as they are while blocks arrive. */
  async page(chain: number, wanted: Wanted & { readonly limit?: number } = {}): Promise<Page> {
    const { account, reference, start, limit } = wanted;
    const query = { account, reference, from: start?.toString(), limit: limit ?? 100 };
    return pageOf(await this.#get(`${ofChain(chain)}/history`, query));
  }

  /** All that happened up to now, page by page. `events` follows what comes. */
  async *history(chain: number, wanted: Wanted & { readonly limit?: number } = {}): AsyncGenerator<Event> {
    for (let start = wanted.start; ; ) {
      const page = await this.page(chain, start === undefined ? wanted : { ...wanted, start });
      yield* page.events;
      if (page.atEnd) {
        return;
      }
      start = page.next;
    }
  }

  /** What signed bytes say, by a gateway; of any kind. Nothing is submitted. */
  async decode(transaction: Signed | Uint8Array): Promise<Raw> {
    return this.#post("/v1/decode", bytesOf(transaction));
  }

  /** What would keep a signed transfer from applying now (`would`, `code`, `words`). Nothing is submitted. */
  async dryRun(transaction: Signed | Uint8Array): Promise<Raw> {
    return this.#post("/v1/dry-run", bytesOf(transaction));
  }

  // Proofs

  /** An account under a certificate of the validators, checked here. Needs `genesis`. */
  async proveAccount(chain: number, account: Whole): Promise<Statement> {
    const wanted = whole(account, 64, "the account");
    const said = await this.#prove(`/v1/proofs/chains/${chain}/accounts/${wanted}`);
    if (said.fact.fact !== "account" || said.chain !== chain || said.fact.account !== wanted) {
      throw new ProofError("the gateway has proved something else than this account");
    }
    return said;
  }

  /** That a transaction is in a block, with its outcome, checked here. Needs `genesis`. */
  async proveTransaction(id: string, chain?: number): Promise<Statement> {
    const said = await this.#prove(`/v1/proofs/transactions/${encodeURIComponent(id)}`, { chain });
    if (said.fact.fact !== "transaction" || said.fact.id !== id.toLowerCase()) {
      throw new ProofError("the gateway has proved something else than this transaction");
    }
    return said;
  }

  /** What a chain says of a fingerprint, or that it says nothing, checked here. Needs `genesis`. */
  async proveAttestation(chain: number, fingerprint: Hexed): Promise<Statement> {
    const wanted = hexed(fingerprint);
    const said = await this.#prove(`/v1/proofs/chains/${chain}/attestations/${wanted}`);
    const { fact } = said;
    const isIt = (fact.fact === "attestation" || fact.fact === "not registered") && fact.fingerprint === wanted;
    if (!isIt || said.chain !== chain) {
      throw new ProofError("the gateway has proved something else than this fingerprint");
    }
    return said;
  }

  async #prove(path: string, query: Query = {}): Promise<Statement> {
    if (this.#genesis === undefined) {
      throw new TypeError("proofs are checked against the header of the genesis: give the option genesis");
    }
    const answer = await this.#get(path, query, Math.max(this.#timeoutMs, 30_000));
    return verify(fromHex(text(answer, "proof")), this.#genesis, this.#network);
  }

  // Submissions

  /**
   * Submits signed bytes, and the same bytes again until something is heard of them, here or elsewhere.
   *
   * Answers a receipt that says `committed` or `failed`; with `wait: "accepted"` also `accepted`. Throws `Refused`
   * where no validator takes it, and `Unheard` where the time is over and it may be in a block: then submit the same
   * bytes again, and sign no others in their place. Throws `WrongReceipt` where the gateway answers for another
   * transaction.
   */
  async submit(transaction: Signed | Uint8Array, options: SubmitOptions = {}): Promise<Receipt> {
    const data = bytesOf(transaction);
    const id = "id" in transaction ? transaction.id : transactionId(data, await this.network());
    const deadline = Date.now() + (options.timeoutMs ?? 60_000);
    let unheard: string | undefined;
    for (let pause = this.#pauseMs; ; pause = Math.min(2 * pause, PAUSE_MAX_MS)) {
      const endpoint = this.#choose();
      const left = Math.max(0, deadline - Date.now());
      let error: Error | undefined;
      const share = Math.min(left, this.#endpoints.length > 1 ? SLICE_MS : WAIT_MS_MAX);
      const query = {
        wait: options.wait ?? "committed",
        timeout_ms: share,
        receipt: options.full ? "full" : "verdict",
      };
      let after: number | undefined;
      try {
        const timeoutMs = share + MARGIN_MS;
        const asked = { method: "POST", query, body: data, content: OCTETS, timeoutMs } as const;
        const answer = await endpoint.request("/v1/transactions", asked);
        const value = answer.value();
        if (answer.status !== 202) {
          return ofIt(receiptOf(value), data, id);
        }
        [unheard, after] = ["no verdict yet", 0];
      } catch (failure) {
        if (failure instanceof LinkBroken) {
          error = new ConnectionFailed(failure.message);
          unheard = failure.sent ? failure.message : unheard;
        } else if (failure instanceof AnswerUnreadable) {
          [error, unheard] = [failure, failure.message];
        } else if (failure instanceof ApiError && AGAIN.has(failure.code)) {
          [error, after] = [failure, failure.retryAfter];
          unheard = MAYBE_TAKEN.has(failure.code) ? failure.message : unheard;
        } else if (failure instanceof ApiError && (unheard !== undefined || PERHAPS_DONE.has(failure.code))) {
          const found = await this.#found(id);
          if (found === undefined && NEVER.has(failure.code)) {
            throw failure;
          }
          if (found !== undefined && !(found instanceof Error)) {
            return ofIt(found, data, id);
          }
          [error, after] = [failure, failure.retryAfter];
          unheard = found?.message ?? unheard;
        } else {
          throw failure;
        }
      }
      this.#giveUp(endpoint);
      const wait = after === undefined ? pause : after * 1_000;
      if (Date.now() + wait >= deadline) {
        throw unheard === undefined && error !== undefined ? error : new Unheard(data, id, unheard ?? "");
      }
      await rest(wait, deadline);
    }
  }

  /** What became of a transaction; undefined if it is in no block, and an error if that cannot be asked. */
  async #found(id: string): Promise<Receipt | Error | undefined> {
    try {
      return receiptOfFound(await this.transaction(id));
    } catch (error) {
      if (error instanceof NotFound) {
        return undefined;
      }
      if (error instanceof MillraceError) {
        return error;
      }
      throw error;
    }
  }

  // Streams

  /**
   * Blocks as they are committed, each once, from a height on; without one, from the next. Keep the height of a block
   * with what you have made of it, to go on above it after a restart.
   */
  async *blocks(start?: Whole, signal?: AbortSignal): AsyncGenerator<Block> {
    const begin = start === undefined ? (await this.height()) + 1n : whole(start, 64, "the height");
    yield* this.#follow(blocksCourse(begin), signal);
  }

  /**
   * What happens on a chain, or to one account, each event once, from a cursor on; without one, from now on. Keep
   * `next` of an event with what you have made of it, to go on from there after a restart.
   */
  async *events(chain: number, wanted: Wanted = {}, signal?: AbortSignal): AsyncGenerator<Event> {
    const begin = wanted.start ?? new Cursor((await this.height()) + 1n, 0);
    const query = { chain, account: wanted.account, reference: wanted.reference };
    yield* this.#follow(eventsCourse(query, begin), signal);
  }

  /** What becomes of a transaction; ends when that is final. */
  fate(id: string, signal?: AbortSignal): AsyncGenerator<Found> {
    return this.#follow(snapshotsCourse("fate", { id }, foundOf, (data) => data["final"] === true), signal);
  }

  /** The alarms of the node: all of them at first, and again whenever they change. */
  alarms(signal?: AbortSignal): AsyncGenerator<readonly Raw[]> {
    const read = (data: Raw): readonly Raw[] => list(data, "alarms") as readonly Raw[];
    return this.#follow(snapshotsCourse("alarms", {}, read, () => false), signal);
  }

  #follow<T>(course: Course<T>, signal: AbortSignal | undefined): AsyncGenerator<T> {
    const gateways = {
      count: this.#endpoints.length,
      choose: () => this.#choose(),
      check: (endpoint: Endpoint) => this.#check(endpoint),
      giveUp: (endpoint: Endpoint) => this.#giveUp(endpoint),
      pauseMs: this.#pauseMs,
    };
    return follow(course, gateways, signal);
  }

  // How it asks

  #choose(): Endpoint {
    return this.#endpoints[this.#turn % this.#endpoints.length] as Endpoint;
  }

  /** Goes on with another gateway, unless that was done already. */
  #giveUp(endpoint: Endpoint): void {
    if (this.#choose() === endpoint) {
      this.#turn += 1;
    }
  }

  #get(path: string, query: Query = {}, timeoutMs = this.#timeoutMs): Promise<Raw> {
    return this.#ask((endpoint) => endpoint.request(path, { query, timeoutMs }), timeoutMs);
  }

  #post(path: string, body: Uint8Array): Promise<Raw> {
    const asked = { method: "POST", body, content: OCTETS } as const;
    return this.#ask((endpoint) => endpoint.request(path, asked), this.#timeoutMs);
  }

  /** Asks one gateway after the other, until one answers or the time is over. */
  async #ask(exchange: (endpoint: Endpoint) => Promise<Answer>, timeoutMs: number): Promise<Raw> {
    const deadline = Date.now() + timeoutMs;
    for (let pause = this.#pauseMs; ; pause = Math.min(2 * pause, PAUSE_MAX_MS)) {
      const endpoint = this.#choose();
      let error: Error;
      let wait = pause;
      try {
        await this.#check(endpoint);
        return (await exchange(endpoint)).value();
      } catch (failure) {
        if (failure instanceof LinkBroken) {
          error = new ConnectionFailed(failure.message);
        } else if (failure instanceof Unavailable || failure instanceof Behind || failure instanceof TooMany) {
          error = failure;
          wait = failure.retryAfter === undefined ? pause : failure.retryAfter * 1_000;
        } else {
          throw failure;
        }
      }
      this.#giveUp(endpoint);
      if (Date.now() + wait >= deadline) {
        throw error;
      }
      await rest(wait, deadline);
    }
  }

  /** Whether a gateway is one of this network; asked of each once. */
  async #check(endpoint: Endpoint): Promise<void> {
    if (this.#known.has(endpoint)) {
      return;
    }
    const status = member((await endpoint.request("/v1/status")).value(), "status");
    const told = fixed(text(status, "network"), 32, "a network id");
    this.#network ??= told;
    if (!equal(told, this.#network)) {
      throw new WrongNetwork(`${endpoint.url} is of network ${toHex(told)}, and not of ${toHex(this.#network)}`);
    }
    this.#known.add(endpoint);
  }
}

async function rest(ms: number, deadline: number): Promise<void> {
  await sleep(Math.max(0, Math.min(ms * (0.5 + Math.random() / 2), deadline - Date.now())));
}

function ofChain(chain: number): string {
  return `/v1/chains/${whole(chain, 32, "the chain")}`;
}

function hexed(fingerprint: Hexed): string {
  return toHex(fixed(fingerprint, 32, "a fingerprint"));
}

function ofIt(receipt: Receipt, transaction: Uint8Array, id: string): Receipt {
  if (receipt.id !== id) {
    throw new WrongReceipt(transaction, id, receipt.id);
  }
  return receipt;
}

function bytesOf(transaction: Signed | Uint8Array): Uint8Array {
  return transaction instanceof Uint8Array ? transaction : transaction.bytes;
}
