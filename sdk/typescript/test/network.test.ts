/**
 * Everything against a real network, which this test makes, starts and stops.
 *
 * MILLRACE names the binary. Without it these tests are skipped, and the runner prints why.
 */

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { createSocket } from "node:dgram";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { after, before, describe, test } from "node:test";

import {
  Client,
  type ClientOptions,
  ConnectionFailed,
  Cursor,
  Forbidden,
  Key,
  NotFound,
  parse,
  Payer,
  Refused,
  requireCommitted,
  sign,
  TransactionFailed,
  Unauthorized,
  verifyHistory,
} from "../src/index.js";

const inPath = (name: string): string | undefined =>
  (process.env["PATH"] ?? "").split(delimiter).map((place) => join(place, name)).find((file) => existsSync(file));
const MILLRACE = process.env["MILLRACE"] ?? inPath("millrace");
const skip = MILLRACE === undefined && "there is no binary: MILLRACE=target/release/millrace names one";

const CHAINS = `
[[chain]]
id = 1
[[chain]]
id = 2
[[chain]]
id = 3
kind = "attestations"
attestations_cap = 100000
`;

function millrace(...words: string[]): string {
  const env = { ...process.env, MILL_PASS: "a long walk" };
  return execFileSync(MILLRACE ?? "", words, { encoding: "utf8", timeout: 120_000, env, stdio: "pipe" });
}

function isFree(port: number): Promise<boolean> {
  const tcp = new Promise<boolean>((resolve) => {
    const server = createServer().once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
  const udp = new Promise<boolean>((resolve) => {
    const socket = createSocket("udp4").once("error", () => resolve(false));
    socket.bind(port, "127.0.0.1", () => socket.close(() => resolve(true)));
  });
  return Promise.all([tcp, udp]).then((both) => both.every((free) => free));
}

/** The first of eight ports in a row that nothing uses. */
async function freePort(): Promise<number> {
  for (let first = 11_000 + (process.pid % 500) * 16; first < 20_000; first += 16) {
    const free = await Promise.all(Array.from({ length: 8 }, (_, at) => isFree(first + at)));
    if (free.every((one) => one)) {
      return first;
    }
  }
  throw new Error("no eight ports in a row are free");
}

const hash = (text: string): Uint8Array => new Uint8Array(createHash("sha256").update(text).digest());

async function some<T>(stream: AsyncGenerator<T>, count: number): Promise<T[]> {
  const found: T[] = [];
  while (found.length < count) {
    const next = await stream.next();
    assert(next.done !== true, "the stream goes on");
    found.push(next.value);
  }
  return found;
}

describe("against a network", { skip }, () => {
  let place: string;
  let directory: string;
  let port: number;
  const clients: Client[] = [];

  before(async () => {
    place = mkdtempSync(join(tmpdir(), "millrace-"));
    [directory, port] = [join(place, "mill"), await freePort()];
    writeFileSync(join(place, "chains.toml"), CHAINS);
    const chains = join(place, "chains.toml");
    millrace("network", "init", directory, "--chains", chains, "--accounts", "50", "--base-port", String(port));
    millrace("network", "up", directory);
  });

  after(() => {
    clients.forEach((client) => client.close());
    try {
      millrace("network", "down", directory);
    } finally {
      rmSync(place, { recursive: true, force: true });
    }
  });

  function made(urls: string | string[], options: ClientOptions): Client {
    const client = new Client(urls, options);
    clients.push(client);
    return client;
  }

  function client(...only: number[]): Client {
    const urls = (only.length > 0 ? only : [0, 1, 2, 3]).map((index) => `http://127.0.0.1:${port + 1 + 2 * index}`);
    return made(urls, { genesis: join(directory, "genesis.header") });
  }

  function key(account: string, passphrase?: string): Key {
    const file = join(place, `${account.replace(":", "-")}${passphrase === undefined ? "" : "-locked"}.pem`);
    if (!existsSync(file)) {
      const how = passphrase === undefined ? ["--no-passphrase"] : ["--passphrase-env", "MILL_PASS"];
      millrace("key", "derive", file, "--network", directory, "--account", account, ...how);
    }
    return Key.fromFile(file, passphrase);
  }

  test("a payment is committed, found and proved", async () => {
    const network = client();
    const payer = new Payer(network, key("1:9"), 1, 9);
    const { balance } = await network.account(1, 8);
    const receipt = requireCommitted(await payer.pay(8, 25, { reference: "invoice 17" }));
    const found = await network.transaction(receipt.id);
    assert.equal((await network.account(1, 8, found.height)).balance, balance + 25n);
    const { said } = parse(found.transaction);
    assert("amount" in said && said.amount === 25n && said.credit === 8n);
    // The same bytes, elsewhere: the same receipt, and nothing is paid twice.
    assert.equal((await client(2).submit(found.transaction)).id, receipt.id);
    assert.equal((await network.account(1, 8, found.height)).balance, balance + 25n);
    const placed = await network.proveTransaction(receipt.id);
    assert(placed.fact.fact === "transaction" && placed.fact.code === 0 && placed.height === found.height);
    const held = await network.proveAccount(1, 8);
    assert(held.fact.fact === "account" && held.fact.balance === balance + 25n);
    for await (const fate of network.fate(receipt.id)) {
      assert.equal(fate.finalCode, 0);
    }
  });

  test("what fails and what is refused", async () => {
    const network = client();
    const payer = new Payer(network, key("1:10"), 1, 10);
    const failed = await payer.pay(8, 10n ** 18n);
    assert.deepEqual([failed.status, failed.code, failed.outcome], ["failed", 7, "insufficient_balance"]);
    assert.throws(() => requireCommitted(failed), TransactionFailed);
    const refused = (code: number) => (error: unknown): boolean => error instanceof Refused && error.code === code;
    await assert.rejects(payer.pay(10 ** 6, 1), refused(37));
    await assert.rejects(new Payer(network, Key.generate(), 1, 11).pay(8, 1), refused(39));
    await assert.rejects(network.account(1, 10 ** 6), NotFound);
    await assert.rejects(network.transaction("ab".repeat(32)), NotFound);
    requireCommitted(await payer.pay(8, 1));
  });

  test("a key with a passphrase pays to another chain", async () => {
    const network = client();
    const payer = new Payer(network, key("1:12", "a long walk"), 1, 12);
    const receipt = requireCommitted(await payer.pay(5, 7, { creditChain: 2 }));
    assert.equal((await network.transaction(receipt.id)).finalCode, 0);
    assert.throws(() => key("1:12", "a short walk"));
  });

  test("fingerprints are registered, superseded, revoked and proved", async () => {
    const network = client();
    const owner = new Payer(network, key("3:4"), 3, 4);
    const [one, two, three, four] = ["1", "2", "3", "4"].map(hash) as [Uint8Array, Uint8Array, Uint8Array, Uint8Array];
    const page = new TextEncoder().encode("page one");
    await owner.register([{ fingerprint: one, type: 5, data: page }, { fingerprint: two, refersTo: one }]);
    requireCommitted(await owner.register([{ fingerprint: three, supersedes: one, dataHash: two }]));
    requireCommitted(await owner.revoke([three], 6));
    const again = await owner.register([{ fingerprint: one }]);
    assert.deepEqual([again.status, again.code], ["failed", 18]);
    const said = await network.attestation(3, one, await network.height());
    assert(said.registered);
    assert.deepEqual(said.data, page);
    assert(!(await network.attestation(3, four)).registered);
    const facts = await Promise.all([one, two, three, four].map((of) => network.proveAttestation(3, of)));
    const states = facts.map(({ fact }) => (fact.fact === "attestation" ? fact.status : fact.fact));
    assert.deepEqual(states, ["superseded", "in force", "revoked", "not registered"]);
    const file = join(place, "history.proof");
    const of = Buffer.from(three).toString("hex");
    millrace("query", "attestation", "3", of, "--network", directory, "--history", "--proof", file);
    const header = new Uint8Array(readFileSync(join(directory, "genesis.header")));
    const history = verifyHistory(new Uint8Array(readFileSync(file)), header);
    assert.deepEqual(history.earlier.map((fact) => fact.fingerprint), [Buffer.from(one).toString("hex")]);
  });

  test("many payments of one account at once", async () => {
    const network = client();
    const payer = new Payer(network, key("1:13"), 1, 13);
    const receipts = await Promise.all(Array.from({ length: 160 }, () => payer.pay(14, 1)));
    assert(receipts.every(({ code }) => code === 0));
    const ids = new Set<string | undefined>();
    for await (const { id } of network.history(1, { account: 13, limit: 30 })) {
      ids.add(id);
    }
    assert.equal(ids.size, 160);
  });

  test("streams go on at another validator and give each event once", async () => {
    const [network, stubborn] = [client(0), client(3, 1)];
    const payer = new Payer(network, key("1:15"), 1, 15);
    const stream = stubborn.events(1, { account: 15, start: new Cursor(1n, 0) });
    const blocks = stubborn.blocks(1);
    const pay = async (): Promise<string[]> => {
      const ids: string[] = [];
      for (let count = 0; count < 3; count++) {
        ids.push((await payer.pay(16, 1)).id);
      }
      return ids;
    };
    assert.deepEqual(await pay(), (await some(stream, 3)).map(({ id }) => id));
    const heights = (await some(blocks, 5)).map(({ height }) => height);
    // The validator that streams ends; the other one goes on.
    millrace("network", "down", directory, "--only", "3");
    assert.deepEqual(await pay(), (await some(stream, 3)).map(({ id }) => id));
    heights.push(...(await some(blocks, Number(await network.height()) - 5)).map(({ height }) => height));
    assert.deepEqual(heights, Array.from(heights, (_, at) => BigInt(at + 1)));
    for await (const alarms of network.alarms()) {
      if (JSON.stringify(alarms).includes("quorum_at_edge")) {
        break;
      }
    }
    await Promise.all([stream.return(undefined), blocks.return(undefined)]);
    millrace("network", "up", directory);
  });

  test("TLS and tokens", { skip: inPath("openssl") === undefined && "there is no openssl" }, async () => {
    const [tokens, certificate, secret] = ["tokens.toml", "tls.crt", "tls.key"].map((name) => join(place, name)) as [
      string,
      string,
      string,
    ];
    const names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"];
    const files = ["-keyout", secret, "-out", certificate];
    const how = ["req", "-x509", "-newkey", "ed25519", "-nodes", "-days", "2", ...names, ...files];
    execFileSync("openssl", how, { stdio: "pipe" });
    chmodSync(secret, 0o600);
    const token = millrace("token", "new", "--file", tokens, "--name", "a", "--scope", "read").trim();
    const at = await freePort();
    const tls = ["--certificate", certificate, "--private-key", secret, "--tokens", tokens, "--anonymous", "none"];
    const words = ["gateway", "--network", directory, "--listen", `127.0.0.1:${at}`, ...tls];
    const gateway = spawn(MILLRACE ?? "", words, { stdio: "ignore" });
    try {
      const url = `https://localhost:${at}`;
      const options = { token, caFile: certificate };
      const network = made(url, options);
      assert.equal((await network.account(1, 20)).account, 20n);
      assert.equal((await some(network.blocks(1), 1))[0]?.height, 1n);
      const transfer = { chain: 1, debit: 20, credit: 8, amount: 1, nonce: 0, expiry: 10 ** 6 };
      const signed = await sign(transfer, key("1:20"), await network.network());
      await assert.rejects(network.submit(signed), Forbidden);
      await assert.rejects(made(url, { caFile: certificate }).account(1, 20), Unauthorized);
      const untrusting = made(url, { token, timeoutMs: 1_000 });
      await assert.rejects(untrusting.account(1, 20), (error) => {
        return error instanceof ConnectionFailed && error.message.includes("certificate");
      });
    } finally {
      gateway.kill();
      await new Promise((resolve) => gateway.once("exit", resolve));
    }
  });
});
