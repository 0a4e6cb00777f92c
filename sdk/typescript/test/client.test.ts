/** The rules of the client, against gateways that misbehave on purpose. */

import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";

import {
  AnswerUnreadable,
  BelowRetention,
  Client,
  type ClientOptions,
  ConnectionFailed,
  Cursor,
  Key,
  NonceWindowFull,
  parse,
  Payer,
  Refused,
  sign,
  toHex,
  transactionId,
  Unheard,
  WrongNetwork,
  WrongReceipt,
} from "../src/index.js";
import { Gateway, NETWORK, refusal, type Reply, type Request, script } from "./fake.js";

const KEY = Key.fromSeed(new Uint8Array(32));
const SIGNED = await sign({ chain: 1, debit: 9, credit: 8, amount: 25, nonce: 3, expiry: 1_004 }, KEY, NETWORK);
const COMMITTED: Reply = [200, { id: SIGNED.id, status: "committed", code: 0, outcome: "applied" }];
const PENDING: Reply = [202, { id: SIGNED.id, status: "pending" }];
const FOUND = { as_of: { height: 9 }, id: SIGNED.id, chain: 1, height: 8, position: 0, packet: toHex(SIGNED.bytes) };

const gateways: Gateway[] = [];
const clients: Client[] = [];
after(async () => {
  clients.forEach((client) => client.close());
  await Promise.all(gateways.map((gateway) => gateway.stop()));
});

async function start(answer: (request: Request) => Reply, network = NETWORK): Promise<Gateway> {
  const gateway = await Gateway.start(answer, network);
  gateways.push(gateway);
  return gateway;
}

async function gone(): Promise<string> {
  const gateway = await Gateway.start(script(undefined));
  const { url } = gateway;
  await gateway.stop();
  return url;
}

function client(urls: string | string[], options: ClientOptions = {}): Client {
  const made = new Client(urls, { pauseMs: 1, ...options });
  clients.push(made);
  return made;
}

async function some<T>(stream: AsyncGenerator<T>, count: number): Promise<T[]> {
  const found: T[] = [];
  while (found.length < count) {
    const next = await stream.next();
    assert(next.done !== true, "the stream goes on");
    found.push(next.value);
  }
  await stream.return(undefined);
  return found;
}

test("the same bytes are submitted until something is heard", async () => {
  const busy = refusal(42, 503, "busy", { retry_after_seconds: 0 });
  const gateway = await start(script(undefined, PENDING, [502, {}], busy, refusal(40, 409), COMMITTED));
  assert.equal((await client(gateway.url).submit(SIGNED)).status, "committed");
  assert.equal(gateway.asked.length, 6);
  for (const request of gateway.asked) {
    assert.deepEqual(request.body, SIGNED.bytes);
    assert.equal(request.headers["content-type"], "application/octet-stream");
  }
});

test("another gateway is asked where one does not answer", async () => {
  const one = await start(script(refusal(43, 503, "stopping", { retry_after_seconds: 0 })));
  const other = await start(script(COMMITTED));
  assert.equal((await client([await gone(), one.url, other.url]).submit(SIGNED)).code, 0);
  assert.deepEqual(other.asked.map((request) => request.body), [SIGNED.bytes]);
});

test("a receipt of another transaction is not one of this", async () => {
  const other = "00".repeat(32);
  const wrong = await start(script([200, { id: other, status: "committed", code: 0, outcome: "applied" }]));
  const found = await start(script(undefined, refusal(34, 422, "expired"), [200, { ...FOUND, id: other, code: 0 }]));
  for (const gateway of [wrong, found]) {
    await assert.rejects(client(gateway.url).submit(SIGNED), (error) => {
      assert(error instanceof WrongReceipt);
      assert.deepEqual([error.id, error.told], [SIGNED.id, other]);
      return true;
    });
  }
});

test("what was perhaps taken is looked up before a refusal is believed", async () => {
  for (const first of [undefined, refusal(40, 409), refusal(1003, 503, "", { retry_after_seconds: 0 })]) {
    const gateway = await start(script(first, refusal(34, 422, "expired"), [200, { ...FOUND, code: 0 }]));
    const receipt = await client(gateway.url).submit(SIGNED);
    assert.deepEqual([receipt.status, receipt.height], ["committed", 8n]);
    assert.equal(gateway.asked.at(-1)?.path, `/v1/transactions/${SIGNED.id}`);
  }
});

test("what may wait at one node is not given up for what another says", async () => {
  const denied = refusal(1005, 401, "unauthorized");
  const cases = [
    [refusal(36, 422, "nonce too far"), refusal(1001, 404, "not found")],
    [denied, denied],
  ] as const;
  for (const [second, lookedUp] of cases) {
    const one = await start(script(undefined, second, lookedUp, COMMITTED));
    assert.equal((await client(one.url).submit(SIGNED)).status, "committed");
    const other = await start(script(undefined, second, lookedUp, PENDING));
    await assert.rejects(client(other.url).submit(SIGNED, { timeoutMs: 200 }), Unheard);
  }
});

test("what a kept connection may have brought is not forgotten", async () => {
  const gateway: Gateway = await start(({ method }) => {
    if (method === "GET") {
      return account(0, [0]);
    }
    void gateway.stop();
    return undefined;
  });
  const made = client(gateway.url);
  await made.account(1, 9);
  await assert.rejects(made.submit(SIGNED, { timeoutMs: 200 }), Unheard);
});

test("a refusal is an error with its code", async () => {
  const gateway = await start(script(refusal(39, 422, "bad signature")));
  await assert.rejects(client(gateway.url).submit(SIGNED), (error) => {
    assert(error instanceof Refused);
    assert.deepEqual([error.code, error.reason, error.status, error.name], [39, "bad signature", 422, "Refused"]);
    return true;
  });
  assert.equal(gateway.asked.length, 1);
  const replayed = await start(script(refusal(35, 422, "replayed"), refusal(1001, 404, "not found")));
  await assert.rejects(client(replayed.url).submit(SIGNED), Refused);
});

test("nothing heard is not the same as not taken", async () => {
  const pending = await start(script(PENDING));
  await assert.rejects(client(pending.url).submit(SIGNED, { timeoutMs: 200 }), (error) => {
    assert(error instanceof Unheard);
    assert.deepEqual([error.transaction, error.id], [SIGNED.bytes, SIGNED.id]);
    return true;
  });
  const busy = await start(script(refusal(42, 503, "busy")));
  await assert.rejects(client(busy.url).submit(SIGNED, { timeoutMs: 200 }), Refused);
  const lost = client(await gone(), { network: NETWORK });
  await assert.rejects(lost.submit(SIGNED, { timeoutMs: 200 }), ConnectionFailed);
});

test("a payment to another chain ends where it arrives or comes back", async () => {
  const said: [object, number | undefined][] = [
    [{ code: 9, crossing: { state: "in_flight" } }, undefined],
    [{ code: 9, crossing: { state: "credited", height: 9 } }, 0],
    [{ code: 9, crossing: { state: "refunded", reason: "credit_account_frozen" } }, 14],
    [{ code: 7 }, 7],
  ];
  for (const [more, final] of said) {
    const gateway = await start(script([200, { ...FOUND, ...more }]));
    assert.equal((await client(gateway.url).transaction(SIGNED.id)).finalCode, final);
  }
});

test("another network is refused", async () => {
  const gateway = await start(script(COMMITTED), "22".repeat(32));
  await assert.rejects(client(gateway.url, { network: NETWORK }).account(1, 9), WrongNetwork);
});

test("tokens travel in a header and only where nobody can read them", async () => {
  const gateway = await start(script(COMMITTED));
  await client(gateway.url, { token: "mr_0123" }).submit(SIGNED);
  assert.equal(gateway.asked[0]?.headers.authorization, "Bearer mr_0123");
  assert.throws(() => new Client("http://pay.example", { token: "mr_0123" }), /https/);
  assert.throws(() => new Client("https://pay.example", { token: "mr_0\r\nX: y" }), RangeError);
  for (const url of ["pay.example", "ftp://pay.example", "https://a:b@pay.example", "https://pay.example/?token=x"]) {
    assert.throws(() => new Client(url), RangeError);
  }
});

test("what is no gateway is said to be none", async () => {
  for (const reply of [[200, {}], [500, {}], [404, { error: "gone" }]] as const) {
    const gateway = await start(script(reply));
    await assert.rejects(client(gateway.url).account(1, 9), AnswerUnreadable);
  }
});

const event = (name: string, id: string, data: object): string =>
  `id: ${id}\nevent: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
const happening = (height: number, place: number): string =>
  event("happening", `${height}.${place + 1}`, { at: `${height}.${place}`, event: "executed", id: "ab" });
const block = (height: number): string =>
  event("block", String(height), { height, digest: "ab", time_ms: 1, transactions: 0, failures: 0 });

test("each event is given out once over streams that break", async () => {
  const one = `: alive\n\n${happening(5, 0)}${happening(5, 1)}`;
  // Told twice, cut off in the middle of an event, and ended with an error that passes.
  const two = `${happening(5, 1)}${happening(6, 0)}${happening(6, 0)}id: 7.1\nevent: happening\ndata: {`;
  const passing = { code: 1003, name: "unavailable", message: "", retry_after_seconds: 0 };
  const three = happening(7, 0) + event("error", "", passing);
  const gateway = await start(script(one, undefined, two, three, happening(6, 0) + happening(7, 1)));
  const events = await some(client(gateway.url).events(1, { start: new Cursor(5n, 0) }), 5);
  assert.deepEqual(events.map((one) => one.at.toString()), ["5.0", "5.1", "6.0", "7.0", "7.1"]);
  assert.deepEqual(gateway.asked.map((request) => request.query["from"]), ["5.0", "5.2", "5.2", "6.1", "7.1"]);
});

test("a stream on which nothing happens is not given up", async () => {
  const quiet = await start(script(...Array.from({ length: 20 }, () => ": alive\n\n"), happening(5, 0)));
  const events = await some(client(quiet.url).events(1, { start: new Cursor(5n, 0) }), 1);
  assert.equal(events[0]?.at.toString(), "5.0");
  const dead = await start(script(""));
  await assert.rejects(some(client(dead.url).events(1, { start: new Cursor(5n, 0) }), 1), ConnectionFailed);
});

test("blocks come once and none is left out", async () => {
  const gateway = await start(script(block(3) + block(4), block(4) + block(5)));
  const heights = (await some(client(gateway.url).blocks(3), 3)).map((one) => one.height);
  assert.deepEqual(heights, [3n, 4n, 5n]);
  const torn = await start(script(block(3) + block(5)));
  await assert.rejects(some(client(torn.url).blocks(3), 2), /left out/);
});

test("a stream without a cursor begins at one place however often it breaks", async () => {
  const gateway = await start(script(undefined, "", block(8)));
  assert.equal((await some(client(gateway.url).blocks(), 1))[0]?.height, 8n);
  assert.deepEqual(gateway.asked.map((request) => request.query["from"]), ["8", "8", "8"]);
});

test("what is pruned everywhere is said", async () => {
  const pruned = refusal(1002, 410, "below retention");
  const [one, other, keeps] = [await start(script(pruned)), await start(script(pruned)), await start(script(block(1)))];
  await assert.rejects(client([one.url, other.url]).blocks(1).next(), BelowRetention);
  assert.equal((await some(client([one.url, keeps.url]).blocks(1), 1))[0]?.height, 1n);
});

test("a fate ends when it is final, and a stream when it is stopped", async () => {
  const first = { ...FOUND, code: 9, crossing: { state: "in_flight" }, final: false };
  const last = { ...FOUND, code: 9, crossing: { state: "credited" }, final: true };
  const whole = event("fate", "8", first) + event("fate", "9", last);
  const gateway = await start(script(event("fate", "8", first), whole));
  const codes: (number | undefined)[] = [];
  for await (const found of client(gateway.url).fate(SIGNED.id)) {
    codes.push(found.finalCode);
  }
  assert.deepEqual(codes, [undefined, 0]);
  const stop = new AbortController();
  const blocks = client((await start(script(block(1), ""))).url).blocks(1, stop.signal);
  assert.equal((await blocks.next()).value?.height, 1n);
  stop.abort();
  assert.equal((await blocks.next()).done, true);
});

function account(nextNonce: number, free: number[]): Reply {
  const numbers = { chain: 1, account: 9, balance: "18446744073709551615", key_version: 3, next_nonce: nextNonce };
  const more = { as_of: { height: 50 }, key: "00".repeat(32), status: "open", frozen: "no", free_nonces: free };
  return [200, { ...numbers, ...more }];
}

const nonces = (gateway: Gateway): bigint[] =>
  gateway.asked.filter(({ method }) => method === "POST").map(({ body }) => BigInt(parse(body).said.nonce));

const committed = ({ body }: Request): Reply => {
  return [200, { id: transactionId(body, NETWORK), status: "committed", code: 0 }];
};

test("a payer uses free nonces and counts on", async () => {
  const answer = (request: Request): Reply =>
    request.path.includes("accounts") ? account(7, [4, 7, 8]) : committed(request);
  const gateway = await start(answer);
  const made = client(gateway.url);
  const payer = new Payer(made, KEY, 1, 9, { validFor: 100 });
  for (let count = 0; count < 3; count++) {
    await payer.pay(8, 1);
  }
  assert.deepEqual(nonces(gateway), [4n, 7n, 8n]);
  const { expiry, keyVersion } = parse(gateway.asked.at(-1)!.body).said;
  assert.deepEqual([expiry, keyVersion], [150n, 3]);
  assert.equal((await made.account(1, 9)).balance, 2n ** 64n - 1n);
});

test("a nonce that is not spent is used again and one that may be is not", async () => {
  const unknown = refusal(37, 422, "unknown account");
  const replies: Reply[] = [unknown, COMMITTED, PENDING, COMMITTED, COMMITTED];
  let isSlow = false;
  const gateway = await start((request) => {
    if (request.path.includes("accounts")) {
      return account(0, [0, 1]);
    }
    const reply = isSlow ? PENDING : replies.shift();
    isSlow ||= reply === PENDING;
    return reply === COMMITTED ? committed(request) : reply;
  });
  const payer = new Payer(client(gateway.url), KEY, 1, 9, { timeoutMs: 100 });
  await assert.rejects(payer.pay(8, 1), Refused);
  await payer.pay(8, 1);
  const unheard = await payer.pay(8, 1).catch((error: unknown) => error);
  assert(unheard instanceof Unheard);
  isSlow = false;
  await payer.pay(8, 1);
  await payer.again(unheard);
  assert.deepEqual([...new Set(nonces(gateway))], [0n, 1n, 2n]);
  assert.equal(nonces(gateway).at(-1), 1n);
});

test("no more than a window of nonces is under way", async () => {
  let release: (() => void) | undefined;
  const held = new Promise<void>((resolve) => (release = resolve));
  const taken: bigint[] = [];
  const slow = {
    account: async () => ({ nextNonce: 0n, freeNonces: [], keyVersion: 1, height: 50n }),
    network: async () => new Uint8Array(32),
    height: async () => 50n,
    submit: async ({ bytes, id }: { bytes: Uint8Array; id: string }) => {
      taken.push(BigInt(parse(bytes).said.nonce));
      await held;
      return { id, status: "committed", code: 0 };
    },
  };
  const payer = new Payer(slow as unknown as Client, KEY, 1, 9, { timeoutMs: 100 });
  const all = Array.from({ length: 64 }, () => payer.pay(8, 1));
  await assert.rejects(payer.pay(8, 1), NonceWindowFull);
  assert.deepEqual(taken, Array.from({ length: 64 }, (_, nonce) => BigInt(nonce)));
  release?.();
  await Promise.all(all);
  await payer.pay(8, 1);
  assert.equal(taken.at(-1), 64n);
});

test("keys are read as the command writes them and not shown", () => {
  const place = mkdtempSync(join(tmpdir(), "millrace-key-"));
  try {
    const file = join(place, "key.pem");
    writeFileSync(file, KEY.toPem(), { mode: 0o600 });
    const key = Key.fromFile(file);
    const message = new Uint8Array([1]);
    assert(key.made(key.sign(message), message) && !key.made(key.sign(message), new Uint8Array([2])));
    assert(!String(key).includes("00000000") && !JSON.stringify(key).includes("private"));
    if (process.platform !== "win32") {
      chmodSync(file, 0o644);
      assert.throws(() => Key.fromFile(file), /other users/);
    }
    assert.throws(() => Key.fromSeed(new Uint8Array(5)), RangeError);
  } finally {
    rmSync(place, { recursive: true });
  }
});
