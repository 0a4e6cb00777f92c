/**
 * Pay, register fingerprints, follow streams and check proofs of a Millrace network.
 *
 *     const client = new Client("http://127.0.0.1:7401");
 *     const payer = new Payer(client, Key.fromFile("alice.pem"), 1, 9);
 *     console.log(requireCommitted(await payer.pay(8, 25, { reference: "invoice 17" })));
 */

export {
  type Account,
  type Attested,
  type Block,
  Cursor,
  type Event,
  type Found,
  type Page,
  type Receipt,
  requireCommitted,
} from "./answers.js";
export { fromHex, type Hexed, toHex, type Whole } from "./bytes.js";
export { Client, type ClientOptions, type SubmitOptions, type Wanted } from "./client.js";
export {
  AnswerUnreadable,
  ApiError,
  type ApiErrorDetails,
  Behind,
  BelowRetention,
  CODES,
  ConnectionFailed,
  Forbidden,
  InternalError,
  InvalidRequest,
  MillraceError,
  NonceWindowFull,
  NotFound,
  ProofError,
  Refused,
  TooMany,
  TransactionFailed,
  Unauthorized,
  Unavailable,
  Unheard,
  WrongHost,
  WrongNetwork,
  WrongReceipt,
  wordsOf,
} from "./errors.js";
export { Key, type Signer } from "./keys.js";
export { Payer, type PayerOptions } from "./payer.js";
export {
  type AccountFact,
  type AttestationFact,
  type Fact,
  type History,
  type NeverFact,
  type NotRegisteredFact,
  type Statement,
  type TransactionFact,
  verify,
  verifyHistory,
  verifySignature,
} from "./proof.js";
export {
  type Envelope,
  KINDS,
  linked,
  parse,
  type Parsed,
  register,
  type Registration,
  revoke,
  sign,
  type Signed,
  transactionId,
  type Transfer,
} from "./transactions.js";
