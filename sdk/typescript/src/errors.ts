/** What can go wrong, as errors, and the codes of docs/ERRORS.md. */

/**
 * Codes of what is in a block (0 to 31, and from 64 on) and of what a validator did not take (32 to 63), with their
 * words. A newer validator may tell a code that is not here: it is told by its number.
 */
export const CODES: ReadonlyMap<number, string> = new Map([
  [0, "applied"],
  [1, "expired"],
  [2, "replayed"],
  [3, "nonce too far"],
  [4, "unknown debit account"],
  [5, "unknown credit account"],
  [6, "wrong key version"],
  [7, "insufficient balance"],
  [8, "credit overflow"],
  [9, "sent to another chain"],
  [10, "unknown credit chain"],
  [11, "another asset"],
  [12, "role not held"],
  [13, "debit account frozen"],
  [14, "credit account frozen"],
  [15, "issuance cap reached"],
  [16, "accounts cap reached"],
  [17, "another kind of chain"],
  [18, "fingerprint registered already"],
  [19, "unknown fingerprint"],
  [20, "another owner"],
  [21, "not in force"],
  [22, "chain full"],
  [23, "debit account closed"],
  [24, "credit account closed"],
  [25, "change pending"],
  [26, "unknown change"],
  [27, "not a guardian"],
  [28, "account not empty"],
  [29, "role held"],
  [30, "chain paused"],
  [31, "chain closed"],
  [32, "malformed"],
  [33, "wrong chain"],
  [34, "expired"],
  [35, "replayed"],
  [36, "nonce too far"],
  [37, "unknown account"],
  [38, "wrong key version"],
  [39, "bad signature"],
  [40, "duplicate pending"],
  [41, "sender full"],
  [42, "busy"],
  [43, "stopping"],
  [44, "unknown credit chain"],
  [45, "another asset"],
  [46, "role not held"],
  [47, "account frozen"],
  [48, "another kind of chain"],
  [49, "account closed"],
  [50, "chain paused"],
  [51, "chain closed"],
  [52, "not a member"],
  [64, "unknown proposal"],
  [65, "proposed already"],
  [66, "proposal expired"],
  [67, "decided already"],
  [68, "approved already"],
  [69, "other administrators"],
  [70, "chain id taken"],
  [71, "unknown chain"],
  [72, "another state of the chain"],
  [73, "too many chains"],
  [74, "unfit roles"],
  [75, "too many proposals"],
  [76, "no such reservation"],
  [77, "not for this account"],
  [78, "more than is reserved"],
  [79, "too many reservations"],
  [80, "other terms"],
  [81, "members fixed"],
  [82, "members changing"],
  [83, "unfit members"],
  [84, "fewer than four members"],
  [85, "too few consents"],
  [86, "needless consents"],
  [87, "other rules"],
]);

/** The words of a code of docs/ERRORS.md. */
export function wordsOf(code: number): string {
  return CODES.get(code) ?? `code ${code}`;
}

/** Everything that this package throws of its own. */
export class MillraceError extends Error {
  constructor(message: string) {
    super(message);
    this.name = new.target.name;
  }
}

/** No gateway could be reached, or each broke off. A read can be asked again. */
export class ConnectionFailed extends MillraceError {}

/** A gateway answers for another network than the one that was pinned or met first. */
export class WrongNetwork extends MillraceError {}

/** A gateway answered with something that is no answer of a Millrace gateway. */
export class AnswerUnreadable extends MillraceError {}

/**
 * A gateway answered a submission with the receipt of another transaction. What was submitted may be in a block.
 *
 * Either the gateway is wrong, or `network` of the client is: the id of a transaction covers it. Ask another gateway
 * about `id`, and do not sign another transaction for the same purpose before you know.
 */
export class WrongReceipt extends MillraceError {
  constructor(
    readonly transaction: Uint8Array,
    readonly id: string,
    readonly told: string,
  ) {
    super(
      `the gateway answers for transaction ${told}, and ${id} was submitted: ask another gateway what became of it`,
    );
  }
}

/**
 * The time is over and nothing was heard of a transaction. It may be in a block.
 *
 * Submit the same bytes (`transaction`) again until you hear. Do not sign another one for the same purpose before that:
 * both would be paid.
 */
export class Unheard extends MillraceError {
  constructor(
    readonly transaction: Uint8Array,
    readonly id: string,
    reason: string,
  ) {
    super(`nothing was heard of transaction ${id} (${reason}): submit the same bytes again`);
  }
}

/** The transaction is in a block and had no effect but on the nonce. */
export class TransactionFailed extends MillraceError {
  constructor(
    readonly id: string,
    readonly code: number,
  ) {
    super(`transaction ${id} failed: ${wordsOf(code)} (${code})`);
  }
}

/** The account has as many transactions under way as its window of nonces has room for: wait for their verdicts. */
export class NonceWindowFull extends MillraceError {}

/** A proof does not hold, or is of a kind that this package does not read. Nothing is proved then. */
export class ProofError extends MillraceError {}

/** What an `ApiError` has beside its code and words. */
export interface ApiErrorDetails {
  /** The status of HTTP. */
  readonly status?: number;
  /** After so many seconds the same may be asked again. */
  readonly retryAfter?: number | undefined;
  readonly data?: unknown;
}

/** A gateway or its node says no. `code` and `reason` are code and name of docs/ERRORS.md. */
export class ApiError extends MillraceError {
  readonly status: number;
  readonly retryAfter: number | undefined;
  readonly data: unknown;

  constructor(
    readonly code: number,
    readonly reason: string,
    readonly said: string,
    details: ApiErrorDetails = {},
  ) {
    super(`${said} (${reason}, ${code})`);
    this.status = details.status ?? 0;
    this.retryAfter = details.retryAfter;
    this.data = details.data;
  }
}

/** A validator did not take a transaction: it is in no block because of this submission (codes 32 to 63). */
export class Refused extends ApiError {}

/** The request itself is wrong: -32700, -32600 to -32602, 1009, 1011 or 1013. */
export class InvalidRequest extends ApiError {}

/** A defect of the gateway, or a node whose answers it cannot read (-32603). */
export class InternalError extends ApiError {}

/** The committed ledger has no such thing, as of `data.as_of` (1001). */
export class NotFound extends ApiError {}

/** It is older than what the node keeps: ask one that keeps more (1002, 1014). */
export class BelowRetention extends ApiError {}

/** The node cannot be reached or has no room: ask again (1003). */
export class Unavailable extends ApiError {}

/** The node has not reached the height that was asked for within five seconds (1004). */
export class Behind extends ApiError {}

/** No token was shown, or it is unknown, revoked or over (1005). */
export class Unauthorized extends ApiError {}

/** The token lacks the scope, or a page of another origin asks (1006, 1008). */
export class Forbidden extends ApiError {}

/** The gateway is not called under this name: it has to be named in its configuration (1007). */
export class WrongHost extends ApiError {}

/** Too many of the caller's signatures were bad (1010). */
export class TooMany extends ApiError {}

const CLASSES: ReadonlyMap<number, typeof ApiError> = new Map<number, typeof ApiError>([
  [-32700, InvalidRequest],
  [-32600, InvalidRequest],
  [-32601, InvalidRequest],
  [-32602, InvalidRequest],
  [-32603, InternalError],
  [1001, NotFound],
  [1002, BelowRetention],
  [1003, Unavailable],
  [1004, Behind],
  [1005, Unauthorized],
  [1006, Forbidden],
  [1007, WrongHost],
  [1008, Forbidden],
  [1009, InvalidRequest],
  [1010, TooMany],
  [1011, InvalidRequest],
  [1012, Unavailable],
  [1013, InvalidRequest],
  [1014, BelowRetention],
]);

/** The error for the member `error` of an answer. */
export function errorOf(error: unknown, status = 0, retryAfter?: number): ApiError {
  const said = (typeof error === "object" && error !== null ? error : {}) as Record<string, unknown>;
  const code = said["code"];
  if (typeof code !== "number" || !Number.isInteger(code)) {
    throw new AnswerUnreadable(`HTTP ${status} with an error that has no code: is this a Millrace gateway?`);
  }
  const kind = code >= 32 && code <= 63 ? Refused : (CLASSES.get(code) ?? ApiError);
  const seconds = said["retry_after_seconds"];
  return new kind(code, String(said["name"] ?? wordsOf(code)), String(said["message"] ?? ""), {
    status,
    retryAfter: typeof seconds === "number" ? seconds : retryAfter,
    data: said["data"],
  });
}
