/**
 * Streams of events that go on by themselves: over broken connections, and from one gateway to another.
 *
 *     gateway: each event at least once, in order ─▶ here: what was given out before is left out ─▶ each event once
 *
 * An event counts as given out when the next one is asked for; who must not do its work twice after a restart keeps the
 * cursor together with that work.
 */

import { setTimeout as sleep } from "node:timers/promises";

import { type Block, blockOf, Cursor, type Event, eventOf } from "./answers.js";
import {
  AnswerUnreadable,
  Behind,
  BelowRetention,
  ConnectionFailed,
  errorOf,
  TooMany,
  Unavailable,
} from "./errors.js";
import { type Endpoint, isRaw, LinkBroken, type Query, type Raw } from "./http.js";

/** A gateway says at least every 15 seconds that it lives. */
const SILENCE_MS = 45_000;
/** Attempts in a row, for each gateway, after which the stream is given up. */
const ATTEMPTS_MAX = 8;
const PAUSE_MAX_MS = 5_000;

/** One server-sent event. */
interface Message {
  readonly name: string;
  readonly data: Raw;
}

/** A stream of one kind, and how far it is. */
export interface Course<T> {
  readonly path: string;
  /** Where it goes on. */
  query(): Query;
  /** What is new in an event, if anything. */
  take(data: Raw): T | undefined;
  /** Whether nothing follows any more. */
  isOver(): boolean;
}

async function* messages(lines: AsyncIterable<string>): AsyncGenerator<Message> {
  let name = "message";
  let data: string[] = [];
  for await (const line of lines) {
    if (line === "") {
      if (data.length > 0) {
        yield { name, data: parsed(data.join("\n")) };
      }
      [name, data] = ["message", []];
      continue;
    }
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "event") {
      name = value;
    } else if (field === "data") {
      data.push(value);
    }
  }
}

function parsed(said: string): Raw {
  let value: unknown;
  try {
    value = JSON.parse(said);
  } catch {
    // It is told below.
  }
  if (!isRaw(value)) {
    throw new AnswerUnreadable(`an event of the stream is no object of JSON: ${JSON.stringify(said.slice(0, 80))}`);
  }
  return value;
}

/** Blocks from a height on; none is left out. */
export function blocksCourse(begin: bigint): Course<Block> {
  let next = begin > 1n ? begin : 1n;
  return {
    path: "/v1/streams/blocks",
    query: () => ({ from: next }),
    take(data) {
      const block = blockOf(data);
      if (block.height < next) {
        return undefined;
      }
      if (block.height > next) {
        throw new AnswerUnreadable(`the stream left out blocks ${next} to ${block.height - 1n}`);
      }
      next = block.height + 1n;
      return block;
    },
    isOver: () => false,
  };
}

/** What happens on a chain, from a cursor on. */
export function eventsCourse(query: Query, begin: Cursor): Course<Event> {
  let next = begin;
  return {
    path: "/v1/streams/history",
    query: () => ({ ...query, from: next.toString() }),
    take(data) {
      const event = eventOf(data);
      if (event.at.isBefore(next)) {
        return undefined;
      }
      next = event.next;
      return event;
    },
    isOver: () => false,
  };
}

/** A stream that tells how something is: at first, and when it changes. The same twice is told once. */
export function snapshotsCourse<T>(
  name: string,
  query: Query,
  read: (data: Raw) => T,
  ends: (data: Raw) => boolean,
): Course<T> {
  let told: string | undefined;
  let isOver = false;
  return {
    path: `/v1/streams/${name}`,
    query: () => query,
    take(data) {
      isOver = ends(data);
      // The height at which it was looked at is no part of it.
      const said = JSON.stringify({ ...data, as_of: undefined });
      if (said === told) {
        return undefined;
      }
      told = said;
      return read(data);
    },
    isOver: () => isOver,
  };
}

/** The gateways of a client, for a stream. */
export interface Gateways {
  readonly count: number;
  choose(): Endpoint;
  check(endpoint: Endpoint): Promise<void>;
  giveUp(endpoint: Endpoint): void;
  /** Milliseconds before the second attempt. */
  readonly pauseMs: number;
}

/**
 * Follows a stream: where it breaks off, it goes on from where it was, here or at the next gateway.
 *
 * Throws `BelowRetention` where no gateway can go on from the cursor any more, other errors of the gateways as they
 * are, and `ConnectionFailed` after several attempts at each gateway that brought nothing, not even a sign of life. It
 * ends when `signal` says so.
 */
export async function* follow<T>(course: Course<T>, gateways: Gateways, signal?: AbortSignal): AsyncGenerator<T> {
  let failed = 0;
  let pruned = 0;
  async function* heard(lines: AsyncIterable<string>): AsyncGenerator<string> {
    for await (const line of lines) {
      // A stream on which nothing happens lives as well.
      if (line.startsWith(":")) {
        failed = pruned = 0;
      }
      yield line;
    }
  }
  while (!course.isOver()) {
    const endpoint = gateways.choose();
    let reason: Error = new ConnectionFailed(`${endpoint.url} ended the stream`);
    let after: number | undefined;
    try {
      await gateways.check(endpoint);
      const lines = endpoint.lines(course.path, course.query(), SILENCE_MS, signal);
      for await (const event of messages(heard(lines))) {
        if (event.name === "error") {
          throw errorOf(event.data);
        }
        failed = pruned = 0;
        const thing = course.take(event.data);
        if (thing !== undefined) {
          yield thing;
        }
        if (course.isOver()) {
          return;
        }
      }
    } catch (error) {
      if (error instanceof LinkBroken) {
        reason = new ConnectionFailed(error.message);
      } else if (error instanceof Unavailable || error instanceof Behind || error instanceof TooMany) {
        [reason, after] = [error, error.retryAfter];
      } else if (error instanceof BelowRetention && ++pruned < gateways.count) {
        // Another one may keep more.
        reason = error;
      } else {
        throw error;
      }
    }
    if (signal?.aborted) {
      return;
    }
    gateways.giveUp(endpoint);
    failed += 1;
    if (failed >= ATTEMPTS_MAX * gateways.count) {
      throw reason;
    }
    const pause = Math.min(gateways.pauseMs * 2 ** Math.min(failed - 1, 10), PAUSE_MAX_MS);
    await sleep((after === undefined ? pause : after * 1_000) * (0.5 + Math.random() / 2));
  }
}
