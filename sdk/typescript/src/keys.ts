/** Keys of accounts: Ed25519 (RFC 8032), in the files that `millrace key` writes. */

import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign, verify } from "node:crypto";
import { readFileSync, statSync } from "node:fs";

import { concat, fixed, fromHex, type Hexed, toHex } from "./bytes.js";

/** What signs: a `Key`, or something that reaches one in a safe place. */
export interface Signer {
  /** The Ed25519 signature of a message, 64 bytes. */
  sign(message: Uint8Array): Uint8Array | Promise<Uint8Array>;
}

/** PKCS#8 (RFC 8410) around the 32 bytes of a secret. */
const PKCS8 = fromHex("302e020100300506032b657004220420");
/** The bytes of a public key in its form of RFC 8410 before the 32 that are the key. */
const SPKI_BYTES = 12;

/** The secret of an account. It never leaves this process, and is not shown when it is printed. */
export class Key implements Signer {
  readonly #private: KeyObject;
  readonly #public: KeyObject;
  /** The public key, 32 bytes. */
  readonly public: Uint8Array;

  private constructor(secret: KeyObject) {
    if (secret.asymmetricKeyType !== "ed25519") {
      throw new TypeError("this is a key of another kind: accounts sign with Ed25519");
    }
    this.#private = secret;
    this.#public = createPublicKey(secret);
    this.public = new Uint8Array(this.#public.export({ format: "der", type: "spki" })).slice(SPKI_BYTES);
  }

  /** A fresh one from the operating system. */
  static generate(): Key {
    return new Key(generateKeyPairSync("ed25519").privateKey);
  }

  /** The key of a secret of 32 bytes. */
  static fromSeed(seed: Hexed): Key {
    const der = Buffer.from(concat(PKCS8, fixed(seed, 32, "a seed")));
    return new Key(createPrivateKey({ key: der, format: "der", type: "pkcs8" }));
  }

  /** The key in a PEM text (PKCS#8, RFC 8410), encrypted or not. */
  static fromPem(pem: string, passphrase?: string): Key {
    return new Key(createPrivateKey(passphrase === undefined ? pem : { key: pem, format: "pem", passphrase }));
  }

  /** The key in a file. One that other users can read is refused, as `millrace` does. */
  static fromFile(path: string, passphrase?: string): Key {
    if (process.platform !== "win32" && (statSync(path).mode & 0o077) !== 0) {
      throw new Error(`${path}: other users of this machine can read this key: chmod 600 it`);
    }
    return Key.fromPem(readFileSync(path, "utf8"), passphrase);
  }

  /** The secret as PEM, not encrypted: keep it where only its owner can read it. */
  toPem(): string {
    return this.#private.export({ format: "pem", type: "pkcs8" }).toString();
  }

  /** The signature of a message, 64 bytes. */
  sign(message: Uint8Array): Uint8Array {
    return new Uint8Array(sign(null, message, this.#private));
  }

  /** Whether this key made a signature. */
  made(signature: Uint8Array, message: Uint8Array): boolean {
    return verify(null, message, this.#public, signature);
  }

  toString(): string {
    return `Key(${toHex(this.public)})`;
  }
}
