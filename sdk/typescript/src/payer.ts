/** An account that pays and registers: it keeps count of its nonces, and signs what it is told to. */

import type { Receipt } from "./answers.js";
import { fromLittle, type Hexed, whole, type Whole } from "./bytes.js";
import type { Client } from "./client.js";
import { ApiError, ConnectionFailed, NonceWindowFull, type Unheard } from "./errors.js";
import type { Signer } from "./keys.js";
import {
  type Envelope,
  KINDS,
  linked,
  register,
  type Registration,
  revoke,
  sign,
  type Signed,
  type Transfer,
} from "./transactions.js";

/** Nonces that may be under way at a time: any order of execution works as long as they span no more. */
const WINDOW = 64n;
/** Codes behind which somebody else may have used nonces of the account. */
const OTHERS_NONCES: ReadonlySet<number> = new Set([2, 3, 35, 36]);
/** Codes of blocks that spend no nonce. */
const NOT_SPENT: ReadonlySet<number> = new Set([1, 2, 3, 4, 6]);
/** Codes after which the account is asked for again: its nonces or its key are others than they were. */
const RELEARN: ReadonlySet<number> = new Set([...OTHERS_NONCES, 6, 38]);
const HEIGHT_KEPT_MS = 5_000;

/** What a payer is to be like. */
export interface PayerOptions {
  /** For how many heights what it signs can execute; 1,000 if nothing is said. */
  readonly validFor?: number;
  /** How long one transaction, or room for it, is waited for; 60,000 if nothing is said. */
  readonly timeoutMs?: number;
}

interface Terms {
  readonly nonce: bigint;
  readonly expiry: bigint;
  readonly keyVersion: number;
}

/**
 * An account with its key. Many payments can be under way at once; two processes with the same account get in each
 * other's way.
 */
export class Payer {
  readonly account: bigint;
  readonly #key: Signer;
  readonly #validFor: bigint;
  readonly #timeoutMs: number;
  readonly #flying = new Set<bigint>();
  /** Nonces below the next one that nothing uses, ascending. */
  #free: bigint[] = [];
  #next = 0n;
  #keyVersion = 1;
  #height = 0n;
  #heightAt = 0;
  #isKnown = false;
  /** Those who take a nonce do so one after the other. */
  #turn: Promise<unknown> = Promise.resolve();
  #waiting: (() => void)[] = [];

  constructor(
    readonly client: Client,
    key: Signer,
    readonly chain: number,
    account: Whole,
    options: PayerOptions = {},
  ) {
    this.#key = key;
    this.account = whole(account, 64, "the account");
    this.#validFor = BigInt(options.validFor ?? 1_000);
    this.#timeoutMs = options.timeoutMs ?? 60_000;
  }

  // What it can do. Each signs one transaction, submits it, and answers its receipt.

  /** Pays an account of its chain, or of another one. */
  async pay(
    credit: Whole,
    amount: Whole,
    more: { readonly reference?: string | Uint8Array; readonly creditChain?: number } = {},
  ): Promise<Receipt> {
    return this.#do((terms) => ({ chain: this.chain, debit: this.account, credit, amount, ...more, ...terms }));
  }

  /** Pays several accounts (account, amount) of its chain, all or none. */
  async payAll(
    payments: readonly (readonly [Whole, Whole])[],
    more: { readonly memo?: string | Uint8Array; readonly reference?: string | Uint8Array } = {},
  ): Promise<Receipt> {
    return this.#seal(KINDS.linked, linked(payments, more.memo), more.reference);
  }

  /** Registers fingerprints, all or none. One with `supersedes` takes the place of an earlier one. */
  async register(registrations: readonly Registration[], reference?: string | Uint8Array): Promise<Receipt> {
    return this.#seal(KINDS.register, register(registrations), reference);
  }

  /** Revokes fingerprints of its own, all or none. */
  async revoke(fingerprints: readonly Hexed[], reason = 0, reference?: string | Uint8Array): Promise<Receipt> {
    return this.#seal(KINDS.revoke, revoke(fingerprints, reason), reference);
  }

  /** Submits once more what nothing was heard of: the same bytes. */
  async again(unheard: Unheard): Promise<Receipt> {
    const nonce = fromLittle(unheard.transaction.subarray(48, 56));
    return this.#submit({ bytes: unheard.transaction, id: unheard.id }, nonce);
  }

  // How

  #seal(kind: number, payload: Uint8Array, reference: string | Uint8Array = ""): Promise<Receipt> {
    return this.#do((terms) => ({ kind, chain: this.chain, account: this.account, payload, reference, ...terms }));
  }

  async #do(make: (terms: Terms) => Transfer | Envelope): Promise<Receipt> {
    const terms = await this.#take();
    let signed: Signed;
    try {
      signed = await sign(make(terms), this.#key, await this.client.network());
    } catch (error) {
      this.#giveBack(terms.nonce, false);
      throw error;
    }
    return this.#submit(signed, terms.nonce);
  }

  async #submit(signed: Signed, nonce: bigint): Promise<Receipt> {
    let receipt: Receipt;
    try {
      receipt = await this.client.submit(signed, { timeoutMs: this.#timeoutMs });
    } catch (error) {
      if (error instanceof ApiError) {
        this.#giveBack(nonce, OTHERS_NONCES.has(error.code), RELEARN.has(error.code));
      } else if (error instanceof ConnectionFailed) {
        this.#giveBack(nonce, false);
      }
      // What is unheard may be executed yet: its nonce stays under way until `again` hears.
      throw error;
    }
    const code = receipt.code ?? 0;
    this.#giveBack(nonce, !NOT_SPENT.has(code), RELEARN.has(code));
    return receipt;
  }

  /** A nonce that nothing uses, and the last height at which it is to execute. */
  #take(): Promise<Terms> {
    const taken = this.#turn.then(() => this.#taken());
    this.#turn = taken.catch(() => undefined);
    return taken;
  }

  async #taken(): Promise<Terms> {
    const deadline = Date.now() + this.#timeoutMs;
    for (;;) {
      if (!this.#isKnown) {
        await this.#learn();
      }
      const nonce = this.#candidate();
      if (nonce !== undefined) {
        this.#flying.add(nonce);
        try {
          if (Date.now() - this.#heightAt > HEIGHT_KEPT_MS) {
            [this.#height, this.#heightAt] = [await this.client.height(), Date.now()];
          }
        } catch (error) {
          this.#giveBack(nonce, false);
          throw error;
        }
        return { nonce, expiry: this.#height + this.#validFor, keyVersion: this.#keyVersion };
      }
      if (!(await this.#changed(deadline - Date.now()))) {
        throw new NonceWindowFull(`account ${this.chain}:${this.account} has ${WINDOW} transactions under way`);
      }
    }
  }

  /** Waits until a nonce is given back; false where the time is over before. */
  #changed(ms: number): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), Math.max(ms, 0));
      this.#waiting.push(() => {
        clearTimeout(timer);
        resolve(true);
      });
    });
  }

  #candidate(): bigint | undefined {
    let [lowest, highest]: [bigint | undefined, bigint | undefined] = [undefined, undefined];
    for (const nonce of this.#flying) {
      lowest = lowest === undefined || nonce < lowest ? nonce : lowest;
      highest = highest === undefined || nonce > highest ? nonce : highest;
    }
    for (let nonce = this.#free.shift(); nonce !== undefined; nonce = this.#free.shift()) {
      // What is executed above it would put it out of reach.
      if (highest === undefined || nonce > highest - WINDOW) {
        return nonce;
      }
    }
    if (lowest !== undefined && this.#next >= lowest + WINDOW) {
      return undefined;
    }
    this.#next += 1n;
    return this.#next - 1n;
  }

  async #learn(): Promise<void> {
    const account = await this.client.account(this.chain, this.account);
    // A node may be behind what was heard already.
    this.#next = account.nextNonce > this.#next ? account.nextNonce : this.#next;
    this.#free = account.freeNonces.filter((nonce) => nonce < account.nextNonce && !this.#flying.has(nonce));
    this.#keyVersion = account.keyVersion;
    [this.#height, this.#heightAt] = [account.height, Date.now()];
    this.#isKnown = true;
  }

  #giveBack(nonce: bigint, isSpent: boolean, learn = false): void {
    this.#flying.delete(nonce);
    if (!isSpent) {
      this.#free.push(nonce);
      this.#free.sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
    }
    this.#isKnown &&= !learn;
    this.#waiting.splice(0).forEach((tell) => tell());
  }
}
