import { setMaxListeners } from 'node:events';
import { Slots } from '../../base/pool.js';
import { fetchRange, fetchSmallFile, findServedFile, type ServedFile } from '../../fetch/range.js';
import { linkAbort, type Persistence } from '../../fetch/retry.js';
import { parseAddress } from './address.js';
import type { ByteSource } from './source.js';

/** Requests that are under way at the same time. */
const AT_ONCE = 32;
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
 * all end: what one has waited for in vain, the others need not wait for.
 */
export class Network {
  readonly #ended = new AbortController();
  readonly #persistence: Persistence;

  constructor(
    persistence: Persistence,
    private readonly slots = new Slots(AT_ONCE),
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
    parseAddress(url);
    return this.#ask(() => findServedFile(url, this.#first));
  }

  /** A small file; null where there is none. */
  async readSmall(url: string, mostBytes: number): Promise<Buffer | null> {
    parseAddress(url);
    return this.#ask(() => fetchSmallFile(url, mostBytes, this.#first));
  }

  source(file: ServedFile): ByteSource {
    return {
      name: file.url,
      size: file.total,
      window: SERVED_WINDOW,
      read: async (offset, length) =>
        length === 0 ? Buffer.alloc(0) : this.#ask(() => fetchRange(file, offset, length, this.#persistence)),
    };
  }

  get #first(): Persistence {
    const { tries = FIRST_TRIES } = this.#persistence;
    return { ...this.#persistence, tries: Math.min(tries, FIRST_TRIES) };
  }

  async #ask<T>(request: () => Promise<T>): Promise<T> {
    return this.slots.run(async () => {
      this.#ended.signal.throwIfAborted();
      try {
        return await request();
      } catch (error) {
        this.#ended.abort(error);
        throw error;
      }
    });
  }
}

/** @param persistence other than usual */
export function createNetwork(persistence: Persistence = {}): Network {
  return new Network({ ...tellWaits(), ...persistence });
}

/** Tells when a server has to be waited for, now and then. */
function tellWaits(): Required<Pick<Persistence, 'onRetry'>> {
  let toldAt = Number.NEGATIVE_INFINITY;
  return {
    onRetry: (reason, seconds) => {
      const now = performance.now() / 1000;
      if (seconds < TOLD_WAIT_SECONDS || now < toldAt + TOLD_EVERY_SECONDS) return;
      toldAt = now;
      process.stderr.write(`waiting for the server of the shards: ${reason}; trying again in ${seconds} s\n`);
    },
  };
}
