import { setMaxListeners } from 'node:events';
import { Slots } from '../../base/pool.js';
import { fetchRange, fetchSmallFile, findServedFile, type ServedFile } from '../../fetch/range.js';
import { linkAbort, type Persistence } from '../../fetch/request.js';
import { parseAddress } from './address.js';
import type { ByteSource } from './source.js';

/** Requests that are under way at the same time. */
const CONCURRENCY = 32;
/** Where a shard has no index, one request brings what lies between two images, and some small images whole. */
const SERVED_WINDOW = 64 << 10;
/** A server that is started anew is waited for: about five minutes in all. */
const PERSISTENCE = { tries: 14, firstWaitSeconds: 0.1, stallSeconds: 30 };
/** One that is not there at first is rather a wrong address: a few seconds. */
const FIRST_TRIES = 6;
/** Waits that are worth telling, and the least time between two that are told. */
const TOLD_WAIT_SECONDS = 3;
const TOLD_EVERY_SECONDS = 30;

/**
 * The way to the servers of a data set: a bounded number of requests at the same time. When one of them has to give up,
 * all end with its error: what one has waited for in vain, the others need not wait for.
 */
export class Network {
  readonly #ended = new AbortController();
  readonly #persistence: Persistence & typeof PERSISTENCE;

  constructor(
    persistence: Persistence,
    private readonly slots = new Slots(CONCURRENCY),
  ) {
    setMaxListeners(0, this.#ended.signal);
    this.#persistence = { ...PERSISTENCE, ...persistence, signal: this.#ended.signal };
  }

  /** The same way, which closes when the signal aborts or this one closes. */
  during(signal: AbortSignal): Network {
    const branch = new Network(this.#persistence, this.slots);
    linkAbort(signal, branch.#ended);
    const unlink = linkAbort(this.#ended.signal, branch.#ended);
    signal.addEventListener('abort', unlink, { once: true });
    return branch;
  }

  /** @throws UserError if the file cannot be had, or only as a whole */
  async find(url: string): Promise<ServedFile> {
    return this.#askFirst(url, (persistence) => findServedFile(url, persistence));
  }

  /** A small file; null where there is none. */
  async readSmall(url: string, maxBytes: number): Promise<Buffer | null> {
    return this.#askFirst(url, (persistence) => fetchSmallFile(url, maxBytes, persistence));
  }

  source(file: ServedFile): ByteSource {
    const read = async (offset: number, length: number) =>
      length === 0 ? Buffer.alloc(0) : this.#ask(() => fetchRange(file, offset, length, this.#persistence));
    return { name: file.url, size: file.total, window: SERVED_WINDOW, read };
  }

  async #askFirst<T>(url: string, request: (persistence: Persistence) => Promise<T>): Promise<T> {
    parseAddress(url);
    const tries = Math.min(this.#persistence.tries, FIRST_TRIES);
    return this.#ask(() => request({ ...this.#persistence, tries }));
  }

  async #ask<T>(request: () => Promise<T>): Promise<T> {
    return this.slots.run(async () => {
      this.#ended.signal.throwIfAborted();
      try {
        return await request();
      } catch (error) {
        this.#ended.abort(error);
        throw this.#ended.signal.reason; // the first error: the others fail because of it, and may be heard before it
      }
    });
  }
}

/** @param persistence other than usual. Waits for a server are told, now and then. */
export function createNetwork(persistence: Persistence = {}): Network {
  let nextTellAt = 0;
  const onRetry = (reason: string, seconds: number) => {
    const now = performance.now() / 1000;
    if (seconds < TOLD_WAIT_SECONDS || now < nextTellAt) return;
    nextTellAt = now + TOLD_EVERY_SECONDS;
    process.stderr.write(`waiting for the server of the shards: ${reason}; trying again in ${seconds} s\n`);
  };
  return new Network({ onRetry, ...persistence });
}
