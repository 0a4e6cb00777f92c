/** A gateway for tests that answers what it is told to. */

import * as http from "node:http";
import type { AddressInfo } from "node:net";

export const NETWORK = "11".repeat(32);

/** What was asked. */
export interface Request {
  readonly method: string;
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: Uint8Array;
}

/** A status with JSON; or a text, which is sent as a stream of events; or nothing: the connection is cut. */
export type Reply = readonly [status: number, value: object] | string | undefined;

export function refusal(code: number, status: number, name = "", more: object = {}): Reply {
  return [status, { error: { code, name, message: `no: ${code}`, ...more } }];
}

/** These answers, one after the other; the last one from then on. */
export function script(...replies: Reply[]): (request: Request) => Reply {
  return () => (replies.length > 1 ? replies.shift() : replies[0]);
}

/** A gateway; all that it was asked, without questions for the status, is in `asked`. */
export class Gateway {
  readonly asked: Request[] = [];
  readonly #server: http.Server;

  private constructor(answer: (request: Request) => Reply, network: string) {
    this.#server = http.createServer((incoming, response) => {
      const chunks: Buffer[] = [];
      incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
      incoming.on("end", () => {
        const url = new URL(incoming.url ?? "/", "http://localhost");
        const request = {
          method: incoming.method ?? "",
          path: url.pathname,
          query: Object.fromEntries(url.searchParams),
          headers: incoming.headers,
          body: new Uint8Array(Buffer.concat(chunks)),
        };
        let reply: Reply = [200, { as_of: { height: 7 }, status: { network } }];
        if (request.path !== "/v1/status") {
          this.asked.push(request);
          reply = answer(request);
        }
        if (reply === undefined) {
          incoming.socket.destroy();
        } else if (typeof reply === "string") {
          response.writeHead(200, { "content-type": "text/event-stream", connection: "close" }).end(reply);
        } else {
          response.writeHead(reply[0]).end(JSON.stringify(reply[1]));
        }
      });
    });
  }

  static async start(answer: (request: Request) => Reply, network = NETWORK): Promise<Gateway> {
    const gateway = new Gateway(answer, network);
    await new Promise<void>((resolve) => gateway.#server.listen(0, "127.0.0.1", resolve));
    return gateway;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
