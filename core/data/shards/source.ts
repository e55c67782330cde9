import { setMaxListeners } from 'node:events';
import { withRegularFile } from '../../base/files.js';
import { Slots } from '../../base/pool.js';
import { changedFile, fetchRange, fetchSmallFile, findServedFile, type ServedFile } from '../../fetch/range.js';
import { linkAbort, type Persistence } from '../../fetch/request.js';
import { isAddress, parseAddress } from './address.js';

/** Bytes that can be read anywhere: of a file, of a server, of a test. */
export interface ByteSource {
  /** Path or address, for messages. */
  readonly name: string;
  readonly size: number;
  /** Bytes that are read in one go where only a few are needed: more where asking takes long. */
  readonly window: number;
  /**
   * Exactly these bytes.
   * @throws UserError if they cannot be had, which says nothing of a single image
   */
  read(offset: number, length: number): Promise<Buffer>;
  /** The same bytes of a server, by another way to it. */
  by?(network: Network): ByteSource;
}

/** One read brings the headers between two images, and no more than needed of the images. */
const FILE_WINDOW = 8 << 10;
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
 * A file, opened anew for each read, so that any number of shards leaves no file open.
 * @throws UserError if there is no such file
 */
export async function openFile(path: string): Promise<ByteSource> {
  const read = (offset: number, length: number) => withOpenFile(path, (source) => source.read(offset, length));
  return withOpenFile(path, async (source) => ({ ...source, read }));
}

/** Uses a file that is kept open meanwhile, for many small reads. */
export async function withOpenFile<T>(path: string, use: (source: ByteSource) => Promise<T>): Promise<T> {
  return withRegularFile(path, async (file, { size }) => {
    const read = async (offset: number, length: number) => {
      const bytes = Buffer.allocUnsafe(length);
      for (let done = 0; done < length; ) {
        const { bytesRead } = await file.read(bytes, done, length - done, offset + done);
        if (bytesRead === 0) throw changedFile(path, `it ends at byte ${offset + done}`);
        done += bytesRead;
      }
      return bytes;
    };
    return use({ name: path, size, window: FILE_WINDOW, read });
  });
}

/** Reads a source piece by piece, and keeps the last piece. */
export function windowReader(source: ByteSource): ByteSource['read'] {
  let start = 0;
  let bytes: Buffer = Buffer.alloc(0);
  return async (offset, length) => {
    if (offset < start || offset + length > start + bytes.length) {
      bytes = await source.read(offset, Math.min(Math.max(length, source.window), source.size - offset));
      start = offset;
    }
    return bytes.subarray(offset - start, offset - start + length);
  };
}

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

  /**
   * What lies at an address, or in a file of this machine.
   * @throws UserError if it cannot be had, or only as a whole
   */
  async open(place: string): Promise<ByteSource> {
    if (!isAddress(place)) return openFile(place);
    return this.#source(await this.#askFirst(place, (persistence) => findServedFile(place, persistence)));
  }

  /** A small file; null where there is none. */
  async readSmall(url: string, maxBytes: number): Promise<Buffer | null> {
    return this.#askFirst(url, (persistence) => fetchSmallFile(url, maxBytes, persistence));
  }

  #source(file: ServedFile): ByteSource {
    const read = async (offset: number, length: number) =>
      length === 0 ? Buffer.alloc(0) : this.#ask(() => fetchRange(file, offset, length, this.#persistence));
    return { name: file.url, size: file.total, window: SERVED_WINDOW, read, by: (network) => network.#source(file) };
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
