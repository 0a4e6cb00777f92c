/** One gateway over HTTP/1.1, with TLS and a token where it takes them. Connections are kept and used again. */

import * as http from "node:http";
import * as https from "node:https";

import { AnswerUnreadable, type ApiError, errorOf } from "./errors.js";

/** An answer that is longer is refused: the longest proof has 34 MiB in hexadecimal. */
const ANSWER_BYTES_MAX = 64 << 20;
/** A line of a stream that is longer is refused. */
const LINE_BYTES_MAX = 4 << 20;
/** Connections to one gateway at a time, and those that are kept while nothing is asked. */
const CONNECTIONS_MAX = 64;
const KEPT_MAX = 8;

/** What stands behind the question mark; what is undefined is left out. */
export type Query = Readonly<Record<string, string | number | bigint | undefined>>;

/** Nothing was heard of a request. `sent` says whether the gateway may have it. */
export class LinkBroken extends Error {
  constructor(
    reason: string,
    readonly sent: boolean,
  ) {
    super(reason);
  }
}

/** An object of JSON. */
export type Raw = Readonly<Record<string, unknown>>;

/** Whether a value is an object of JSON. */
export function isRaw(value: unknown): value is Raw {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** An answer that came whole. */
export class Answer {
  constructor(
    readonly status: number,
    readonly retryAfter: number | undefined,
    readonly body: string,
  ) {}

  /** What was answered; throws the error that it is. */
  value(): Raw {
    const value = this.#json();
    if (this.status >= 400) {
      throw this.error();
    }
    return value;
  }

  /** The error in an answer. */
  error(): ApiError {
    return errorOf(this.#json()["error"], this.status, this.retryAfter);
  }

  #json(): Raw {
    let value: unknown;
    try {
      value = JSON.parse(this.body);
    } catch {
      // It is told below.
    }
    if (!isRaw(value)) {
      const shown = JSON.stringify(this.body.slice(0, 80));
      throw new AnswerUnreadable(`HTTP ${this.status} with ${shown}: is this a Millrace gateway?`);
    }
    return value;
  }
}

/** How a request is to be. */
export interface Asked {
  readonly method?: "GET" | "POST";
  readonly query?: Query;
  readonly body?: Uint8Array;
  readonly content?: string;
  /** Milliseconds within which the whole answer must be there. */
  readonly timeoutMs?: number;
}

/** Where and how gateways are reached. */
export interface Access {
  readonly token: string | undefined;
  /** Certificates (PEM) of authorities that are trusted beside none. */
  readonly ca: string | undefined;
  readonly timeoutMs: number;
}

/** The address of one gateway. */
export class Endpoint {
  readonly url: string;
  readonly #parts: URL;
  readonly #access: Access;
  readonly #agent: http.Agent;
  readonly #isSecure: boolean;

  constructor(url: string, access: Access) {
    let parts: URL;
    try {
      parts = new URL(url);
    } catch {
      throw new RangeError(`${JSON.stringify(url)} is no address of a gateway: write https://HOST:PORT`);
    }
    if (parts.protocol !== "http:" && parts.protocol !== "https:") {
      throw new RangeError(`${JSON.stringify(url)} is no address of a gateway: write http://… or https://…`);
    }
    if (parts.username || parts.password || parts.search || parts.hash) {
      throw new RangeError("an address has neither a name and password nor a query: tokens are given as token");
    }
    this.#isSecure = parts.protocol === "https:";
    if (access.token !== undefined && !this.#isSecure && !isLoopback(parts.hostname)) {
      throw new RangeError(`${parts.hostname} is another machine: a token is sent there over https only`);
    }
    if (access.token !== undefined && !/^[!-~]+$/.test(access.token)) {
      throw new RangeError("the token has characters that no token has");
    }
    this.url = parts.origin;
    this.#parts = parts;
    this.#access = access;
    const options = { keepAlive: true, maxSockets: CONNECTIONS_MAX, maxFreeSockets: KEPT_MAX };
    this.#agent = this.#isSecure
      ? new https.Agent({ ...options, ...(access.ca === undefined ? {} : { ca: access.ca }) })
      : new http.Agent(options);
  }

  /** Asks, and reads the whole answer. Throws `LinkBroken` where none came. */
  async request(path: string, asked: Asked = {}): Promise<Answer> {
    const timeoutMs = asked.timeoutMs ?? this.#access.timeoutMs;
    let wasSent = false;
    for (;;) {
      const sent = this.#sent(path, asked, "application/json", this.#agent);
      const timer = setTimeout(() => sent.request.destroy(new Error(`no answer in ${timeoutMs} ms`)), timeoutMs);
      try {
        const response = await sent.response;
        return await this.#read(response, sent);
      } catch (error) {
        // It may have been closed while it was kept: every request here can be sent again.
        if (error instanceof LinkBroken && sent.request.reusedSocket && sent.wasReset()) {
          wasSent ||= error.sent;
          continue;
        }
        // What an earlier attempt may have brought there is not taken back by this one.
        throw error instanceof LinkBroken && wasSent ? new LinkBroken(error.message, true) : error;
      } finally {
        clearTimeout(timer);
      }
    }
  }

  /** Opens a stream of events: its lines. Something comes at least every `silenceMs`, or it is broken. */
  async *lines(path: string, query: Query, silenceMs: number, signal?: AbortSignal): AsyncGenerator<string> {
    const sent = this.#sent(path, { query }, "text/event-stream", undefined);
    const stop = (): void => void sent.request.destroy(new Error("stopped"));
    signal?.addEventListener("abort", stop);
    sent.request.setTimeout(silenceMs, () => sent.request.destroy(new Error(`silent for ${silenceMs} ms`)));
    try {
      const response = await sent.response;
      if (response.statusCode !== 200) {
        throw (await this.#read(response, sent)).error();
      }
      response.setEncoding("utf8");
      let left = "";
      try {
        for await (const chunk of response as AsyncIterable<string>) {
          const whole = (left + chunk).split("\n");
          left = whole.pop() ?? "";
          if (left.length > LINE_BYTES_MAX) {
            throw new AnswerUnreadable("a line of the stream is too long");
          }
          for (const line of whole) {
            yield line.endsWith("\r") ? line.slice(0, -1) : line;
          }
        }
      } catch (error) {
        throw error instanceof AnswerUnreadable ? error : this.#broken(error, true);
      }
    } finally {
      signal?.removeEventListener("abort", stop);
      sent.request.destroy();
    }
  }

  /** Closes the connections that are kept. */
  close(): void {
    this.#agent.destroy();
  }

  #sent(path: string, asked: Asked, accept: string, agent: http.Agent | undefined): Sent {
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(asked.query ?? {})) {
      if (value !== undefined) {
        query.set(name, String(value));
      }
    }
    const { token, ca } = this.#access;
    const base = this.#parts.pathname.replace(/\/$/, "");
    const options: https.RequestOptions = {
      method: asked.method ?? "GET",
      host: this.#parts.hostname.replace(/^\[|\]$/g, ""),
      port: this.#parts.port || (this.#isSecure ? 443 : 80),
      path: `${base}${path}${query.size > 0 ? `?${query}` : ""}`,
      agent: agent ?? false,
      headers: {
        accept,
        ...(asked.body === undefined ? {} : { "content-length": asked.body.length }),
        ...(asked.content === undefined ? {} : { "content-type": asked.content }),
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      },
      ...(ca === undefined ? {} : { ca }),
    };
    const request = (this.#isSecure ? https : http).request(options);
    let isSent = false;
    let isReset = false;
    request.once("socket", (socket) => {
      isSent = request.reusedSocket || !socket.connecting;
      if (!isSent) {
        socket.once(this.#isSecure ? "secureConnect" : "connect", () => (isSent = true));
      }
    });
    const response = new Promise<http.IncomingMessage>((resolve, reject) => {
      request.once("response", resolve);
      // The first error counts; those behind it must not end the process.
      request.on("error", (error) => {
        isReset = ["ECONNRESET", "EPIPE"].includes((error as NodeJS.ErrnoException).code ?? "");
        reject(this.#broken(error, isSent));
      });
    });
    request.end(asked.body);
    return { request, response, wasReset: () => isReset };
  }

  async #read(response: http.IncomingMessage, sent: Sent): Promise<Answer> {
    const chunks: Buffer[] = [];
    let bytes = 0;
    try {
      for await (const chunk of response as AsyncIterable<Buffer>) {
        chunks.push(chunk);
        bytes += chunk.length;
        if (bytes > ANSWER_BYTES_MAX) {
          sent.request.destroy();
          throw new AnswerUnreadable(`${this.url}: the answer has more than ${ANSWER_BYTES_MAX} bytes`);
        }
      }
    } catch (error) {
      throw error instanceof AnswerUnreadable ? error : this.#broken(error, true);
    }
    const after = response.headers["retry-after"];
    const retryAfter = after !== undefined && /^\d+$/.test(after) ? Number(after) : undefined;
    return new Answer(response.statusCode ?? 0, retryAfter, Buffer.concat(chunks).toString("utf8"));
  }

  #broken(error: unknown, sent: boolean): LinkBroken {
    const { code, message } = error as NodeJS.ErrnoException;
    const isUntrusted = /CERT|SELF_SIGNED|ALTNAME|UNABLE_TO/.test(code ?? "");
    const reason = isUntrusted ? `its certificate is not trusted (${message})` : message || String(code);
    return new LinkBroken(`${this.url}: ${reason}`, sent);
  }
}

interface Sent {
  readonly request: http.ClientRequest;
  readonly response: Promise<http.IncomingMessage>;
  readonly wasReset: () => boolean;
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "[::1]" || /^127\.\d+\.\d+\.\d+$/.test(host);
}
