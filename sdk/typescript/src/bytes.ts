/** Bytes, hexadecimal and whole numbers. */

/** A whole number as it may be given: a number up to 2^53, or a bigint. */
export type Whole = number | bigint;

/** Bytes as they may be given: themselves, or in hexadecimal. */
export type Hexed = Uint8Array | string;

/** Bytes in hexadecimal. */
export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex");
}

/** The bytes that a text in hexadecimal names. */
export function fromHex(text: string): Uint8Array {
  if (text.length % 2 !== 0 || !/^[0-9a-fA-F]*$/.test(text)) {
    throw new RangeError(`${JSON.stringify(text.slice(0, 80))} is not hexadecimal`);
  }
  return new Uint8Array(Buffer.from(text, "hex"));
}

/** So many bytes, given as they are or in hexadecimal. */
export function fixed(value: Hexed, length: number, what: string): Uint8Array {
  const found = typeof value === "string" ? fromHex(value) : value;
  if (found.length !== length) {
    throw new RangeError(`${what} has ${length} bytes, and this one ${found.length}`);
  }
  return found;
}

/** Bytes one behind the other. */
export function concat(...parts: Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Whether two are the same. */
export function equal(a: Uint8Array, b: Uint8Array): boolean {
  return compare(a, b) === 0;
}

/** Which of two comes first: below 0 the first one. */
export function compare(a: Uint8Array, b: Uint8Array): number {
  return Buffer.compare(a, b);
}

/** A text as UTF-8, or bytes as they are. */
export function textBytes(value: string | Uint8Array): Uint8Array {
  return typeof value === "string" ? new TextEncoder().encode(value) : value;
}

/** A whole number of so many bits. */
export function whole(value: Whole, bits: number, what: string): bigint {
  if (typeof value === "number" && !Number.isSafeInteger(value)) {
    throw new RangeError(`${what} is ${value}: give whole numbers beyond 2^53 as bigint`);
  }
  const found = BigInt(value);
  if (found < 0n || found >> BigInt(bits) !== 0n) {
    throw new RangeError(`${what} is ${found}, and has ${bits} bits`);
  }
  return found;
}

/** A number in so many bytes, lowest first. */
export function little(value: Whole, bytes: number, what: string): Uint8Array {
  let left = whole(value, 8 * bytes, what);
  const written = new Uint8Array(bytes);
  for (let at = 0; at < bytes; at++) {
    written[at] = Number(left & 0xffn);
    left >>= 8n;
  }
  return written;
}

/** The number that bytes are, lowest first. */
export function fromLittle(bytes: Uint8Array): bigint {
  let value = 0n;
  for (let at = bytes.length - 1; at >= 0; at--) {
    value = (value << 8n) | BigInt(bytes[at] ?? 0);
  }
  return value;
}
