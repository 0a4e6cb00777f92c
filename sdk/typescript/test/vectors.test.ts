/** The vectors of sdk/vectors, which the Rust code makes, and docs/ERRORS.md. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { errorOf } from "../src/errors.js";
import {
  ApiError,
  CODES,
  type Envelope,
  fromHex,
  Key,
  KINDS,
  linked,
  parse,
  ProofError,
  Refused,
  register,
  type Registration,
  revoke,
  sign,
  type Signed,
  type Statement,
  toHex,
  transactionId,
  type Transfer,
  verify,
  verifyHistory,
  verifySignature,
} from "../src/index.js";

const ROOT = join(import.meta.dirname, "../../../..");

type Vector = Record<string, any>;

function vectors(name: string): Vector[] {
  const { vectors: listed } = JSON.parse(readFileSync(join(ROOT, "sdk/vectors", name), "utf8"));
  assert(listed.length > 0);
  return listed;
}

test("signatures at the edges of ZIP-215", () => {
  for (const vector of vectors("signatures.json")) {
    const [key, message, signature] = [vector["key"], vector["message"], vector["signature"]].map(fromHex);
    assert.equal(verifySignature(key!, message!, signature!), vector["valid"], JSON.stringify(vector));
  }
});

function registrationOf(said: Vector): Registration {
  const { fingerprint, type, data, data_hash, refers_to, supersedes } = said;
  return {
    fingerprint,
    ...(type === undefined ? {} : { type }),
    ...(data === undefined ? {} : { data: fromHex(data) }),
    ...(data_hash === undefined ? {} : { dataHash: data_hash }),
    ...(refers_to === undefined ? {} : { refersTo: refers_to }),
    ...(supersedes === undefined ? {} : { supersedes }),
  };
}

/** What this package makes of the fields of a vector. */
function signedOf(vector: Vector): Promise<Signed> {
  const key = Key.fromSeed(vector["seed"]);
  assert.equal(toHex(key.public), vector["public_key"]);
  const { chain, account, nonce, expiry, reference } = vector;
  const common = { chain, nonce, expiry, keyVersion: vector["key_version"], reference };
  let said: Transfer | Envelope;
  if (vector["credit"] !== undefined) {
    const creditChain = vector["credit_chain"] ?? undefined;
    said = { ...common, debit: account, credit: vector["credit"], amount: BigInt(vector["amount"]), creditChain };
  } else if (vector["payments"] !== undefined) {
    const payments = vector["payments"].map(([to, amount]: [number, string]) => [to, BigInt(amount)]);
    said = { ...common, kind: KINDS.linked, account, payload: linked(payments, vector["memo"]) };
  } else if (vector["registrations"] !== undefined) {
    const payload = register(vector["registrations"].map(registrationOf));
    said = { ...common, kind: KINDS.register, account, payload };
  } else {
    said = { ...common, kind: KINDS.revoke, account, payload: revoke(vector["revoked"], vector["reason"]) };
  }
  return sign(said, key, vector["network"]);
}

test("signed transactions are the bytes that the ledger takes", async () => {
  for (const vector of vectors("transactions.json")) {
    const made = await signedOf(vector);
    assert.deepEqual([toHex(made.bytes), made.id], [vector["bytes"], vector["id"]], vector["about"]);
    const { said, signature } = parse(made.bytes);
    assert.equal(transactionId(made.bytes, vector["network"]), vector["id"]);
    assert.deepEqual(await sign(said, Key.fromSeed(vector["seed"]), vector["network"]), made);
    assert.deepEqual(signature, made.bytes.slice(64, 128));
  }
});

test("the page of the wire has what this package makes", async () => {
  const page = readFileSync(join(ROOT, "docs/WIRE.md"), "utf8");
  const key = Key.fromSeed(Uint8Array.from({ length: 32 }, (_, at) => at));
  const transfer = { chain: 1, debit: 9, credit: 8, amount: 25, nonce: 3, expiry: 1_004, reference: "invoice 17" };
  const { bytes, id } = await sign(transfer, key, "11".repeat(32));
  for (const text of [toHex(bytes.slice(0, 64)), toHex(bytes.slice(64)), id, toHex(key.public)]) {
    assert(page.includes(`\`${text}\``), text);
  }
});

test("what does not fit is said before it is signed", async () => {
  const key = Key.fromSeed(new Uint8Array(32));
  const fits = { chain: 1, debit: 9, credit: 8, amount: 25, nonce: 3, expiry: 9 };
  const wrong = [
    { amount: 2n ** 64n },
    { amount: -1 },
    { amount: 0.5 },
    { amount: 2 ** 60 },
    { chain: 2 ** 32 },
    { reference: "x".repeat(13) },
    { creditChain: 1 },
  ];
  for (const one of wrong) {
    await assert.rejects(sign({ ...fits, ...one }, key, "11".repeat(32)), RangeError);
  }
  const one = new Uint8Array(32).fill(1);
  const unfit: Registration[] = [
    { fingerprint: new Uint8Array(32) },
    { fingerprint: one.slice(1) },
    { fingerprint: one, data: new Uint8Array() },
    { fingerprint: one, data: new Uint8Array(1_025) },
    { fingerprint: one, refersTo: one, supersedes: one },
  ];
  unfit.forEach((registration) => assert.throws(() => register([registration]), RangeError));
  for (const empty of [() => register([]), () => revoke([]), () => linked([])]) {
    assert.throws(empty, RangeError);
  }
});

test("bytes that are no transaction are refused", () => {
  const good = fromHex(vectors("transactions.json")[0]!["bytes"]);
  const changed = (at: number, byte: number): Uint8Array => good.map((of, place) => (place === at ? byte : of));
  const bad = [new Uint8Array(), good.slice(1), new Uint8Array([...good, ...new Uint8Array(128)]), changed(0, 0)];
  for (const bytes of [...bad, changed(2, 1)]) {
    assert.throws(() => parse(bytes), RangeError);
  }
});

const NAMES: Readonly<Record<string, string>> = {
  network_name: "networkName",
  final_height: "finalHeight",
  final_time_ms: "finalTimeMs",
  key_version: "keyVersion",
  window_base: "windowBase",
  window_used: "windowUsed",
  refers_to: "refersTo",
  superseded_by: "supersededBy",
  data_hash: "dataHash",
  data_bytes: "dataBytes",
};

/** Fails unless each member that the vector has is what was found. */
function same(said: Vector, found: object): void {
  for (const [name, value] of Object.entries(said)) {
    if (name === "fact" && typeof value === "object") {
      same(value, (found as Statement).fact);
      continue;
    }
    const got: unknown = (found as Record<string, unknown>)[NAMES[name] ?? name];
    const expected = typeof got === "bigint" ? BigInt(value) : (value ?? undefined);
    assert.equal(got, expected, name);
  }
}

const proofs = (): Vector[] => vectors("proofs.json").filter((vector) => "proof" in vector);

test("proofs say what the Rust code reads", () => {
  let read = 0;
  for (const vector of proofs()) {
    const [proof, genesis] = [fromHex(vector["proof"]), fromHex(vector["genesis"])];
    if (vector["says"]["fact"] === null) {
      assert.throws(() => verify(proof, genesis), /not read here/);
      continue;
    }
    same(vector["says"], verify(proof, genesis));
    same(vector["says"], verify(proof, genesis, vector["says"]["network"]));
    assert.throws(() => verify(proof, genesis, "00".repeat(32)), /of network/);
    read += 1;
  }
  assert(read >= 20);
});

function spoiled(bytes: Uint8Array, at: number, bit: number): Uint8Array {
  const changed = bytes.slice();
  changed[at] = (changed[at] ?? 0) ^ bit;
  return changed;
}

test("histories say what the Rust code reads", () => {
  const listed = vectors("proofs.json").filter((vector) => "history" in vector);
  for (const vector of listed) {
    const [data, genesis] = [fromHex(vector["history"]), fromHex(vector["genesis"])];
    const found = verifyHistory(data, genesis);
    same(vector["says"], found.last);
    assert(found.earlier.length > 0 && found.earlier.length === vector["earlier"].length);
    found.earlier.forEach((one, place) => same(vector["earlier"][place], one));
    for (let at = data.length - 168 * found.earlier.length; at < data.length; at++) {
      assert.throws(() => verifyHistory(spoiled(data, at, 1), genesis), ProofError);
    }
  }
  assert.equal(listed.length, 2);
});

test("every byte of a proof counts", () => {
  const seen = new Set<string>();
  const plain = (_: string, value: unknown): unknown => (typeof value === "bigint" ? String(value) : value);
  const shown = (said: Statement): string => JSON.stringify(said.fact, plain);
  for (const vector of proofs()) {
    const kind: string | undefined = vector["says"]["fact"]?.fact;
    const name = `${kind} ${vector["about"]}`;
    if (kind === undefined || seen.has(name)) {
      continue;
    }
    seen.add(name);
    const [proof, genesis] = [fromHex(vector["proof"]), fromHex(vector["genesis"])];
    const right = shown(verify(proof, genesis));
    for (let at = 0; at < proof.length; at += 5) {
      let found: Statement;
      try {
        found = verify(spoiled(proof, at, 0x10), genesis);
      } catch (error) {
        assert(error instanceof ProofError, String(error));
        continue;
      }
      // Only what an absence is asked of is no evidence: another question has another answer.
      assert(["never", "not registered", "attestation"].includes(kind) && shown(found) !== right, `${kind} ${at}`);
    }
    for (const end of [0, 15, 16, 100, proof.length - 1]) {
      assert.throws(() => verify(proof.slice(0, end), genesis), ProofError);
    }
    assert.throws(() => verify(new Uint8Array([...proof, 0]), genesis), ProofError);
    for (let at = 0; at < genesis.length; at += 7) {
      assert.throws(() => verify(proof, spoiled(genesis, at, 1)), ProofError);
    }
  }
  assert(seen.size >= 8);
});

test("the codes are those of the page of errors", () => {
  const page = readFileSync(join(ROOT, "docs/ERRORS.md"), "utf8");
  const [verdicts, rest] = page.split("## What a gateway says");
  const rows = (text: string): string[][] => {
    const lines = text.split("\n").filter((line) => line.startsWith("|"));
    const cells = lines.map((line) => line.split("|").slice(1).map((cell) => cell.trim()));
    return cells.filter(([code]) => /^-?\d+$/.test(code ?? ""));
  };
  const listed = rows(verdicts ?? "").map(([code, words]) => [Number(code), words]);
  assert.deepEqual(listed.sort(([a], [b]) => Number(a) - Number(b)), [...CODES]);
  for (const [code, name, status] of rows(rest?.split("## Exit codes")[0] ?? "")) {
    const error = errorOf({ code: Number(code), name, message: "" }, Number(status));
    assert.notEqual(error.constructor, ApiError, code);
  }
  assert.equal(errorOf({ code: 42 }).constructor, Refused);
});
