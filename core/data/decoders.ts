import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { ByteGate } from '../base/pool.js';
import type { ImageItem } from '../contract/data-sets.js';
import { randomCrops, type View, viewBytes } from './crop.js';
import type { Picture } from './picture.js';
import { sharedTurns } from './read-picture.js';

export interface Decoders {
  /**
   * The random crops of an image for all views, as `randomCrops` draws them.
   * @returns their RGB, whole until it is handed back to `reuse`
   * @throws Error if the image cannot be read; its message is the reason
   */
  crop(item: ImageItem, counters: readonly number[]): Promise<Uint8Array>;
  /** Takes crops back, for the memory of later ones: new memory for each would keep the garbage collector busy. */
  reuse(rgb: Uint8Array): void;
  /** Ends the threads when what they have begun is done; what was asked and not begun is left undone. */
  close(): Promise<void>;
}

export interface DecoderSettings {
  seed: number;
  views: readonly View[];
}

export interface CropJob {
  id: number;
  /** A path, the content of a file, or what was decoded before. */
  source: string | Uint8Array | Picture;
  counters: readonly number[];
  /** Where the crops go, in shared memory. */
  into: Uint8Array<SharedArrayBuffer>;
  /** A decoded picture of at most so many bytes is given back with the answer, to be kept for its next crops. */
  keepBytes: number;
}

/** What it answers when the crops are there, or why there are none. */
export type CropAnswer = { id: number; reason?: string; picture?: Picture };

/** The threads have ended before their work: this tells nothing about an image. */
export class DecodersEnded extends Error {
  override readonly name = 'DecodersEnded';
}

/** More threads than this do not help: eight crop thousands of images a second. */
const MAX_THREADS = 8;

/** Content of files that may wait for a thread, where images are no files of their own, and how many are read at once. */
const CONTENT_BYTES = 64e6;
const READ_CONCURRENCY = 64;

/** Decoded pictures that are kept, of files: decoding takes most of the time of cropping small ones, in every epoch anew. */
const KEPT_BYTES = 256e6;

/**
 * Young generation of a thread, in MiB: with V8's default, decoded pictures wait longer to be collected; with less, V8's
 * helper threads scavenge so often that steps are slower.
 */
const YOUNG_MIB = 16;

/** One for each core that the process may use, up to eight. */
export function usualThreads(): number {
  return Math.min(availableParallelism(), MAX_THREADS);
}

/** Crops in this thread: for a few images, for which starting others takes longer. */
export function decodeHere(settings: DecoderSettings): Decoders {
  return {
    crop: (item, counters) => randomCrops(item, settings.views, settings.seed, counters),
    reuse: () => {},
    close: async () => {},
  };
}

/**
 * Starts threads that crop. They go on while the main thread computes a step: whatever is asked is sent to them at once, so
 * that the main thread need not turn between an image and the next one. Sharp decodes in Node's pool, they scale.
 */
export function startDecoders(settings: DecoderSettings, threads: number): Decoders {
  const workers = Array.from({ length: threads }, () => startWorker(settings));
  const gate = new ByteGate(CONTENT_BYTES, READ_CONCURRENCY);
  const cropBytes = viewBytes(settings.views);
  const unused: CropJob['into'][] = [];
  const kept = new Map<string, Picture>();
  let keptBytes = 0;
  const keep = (path: string, picture: Picture) => {
    if (kept.has(path) || keptBytes + picture.rgb.length > KEPT_BYTES) return;
    kept.set(path, picture);
    keptBytes += picture.rgb.length;
  };
  let nextId = 0;
  let isClosed = false;
  const leastBusy = () =>
    workers.reduce((least, worker) => (worker.waiting.size < least.waiting.size ? worker : least));
  return {
    crop({ source }, counters) {
      const ask = async (content: CropJob['source']) => {
        const into = unused.pop() ?? new Uint8Array(new SharedArrayBuffer(cropBytes));
        const keepBytes = typeof content === 'string' ? KEPT_BYTES - keptBytes : 0;
        try {
          const picture = await leastBusy().ask({ id: nextId++, source: content, counters, into, keepBytes });
          if (picture && typeof content === 'string') keep(content, picture);
          return into;
        } catch (error) {
          unused.push(into);
          throw error;
        }
      };
      if (typeof source === 'string') return ask(kept.get(source) ?? source);
      return gate.hold(async () => {
        if (isClosed) throw new DecodersEnded('the threads that decode images have ended');
        return source();
      }, ask);
    },
    reuse(rgb) {
      unused.push(rgb as CropJob['into']);
    },
    async close() {
      isClosed = true;
      await Promise.all(workers.map((worker) => worker.close()));
    },
  };
}

/** Starts a thread. `waiting` are the jobs that it has not answered yet. */
function startWorker(settings: DecoderSettings) {
  sharedTurns(); // are there before the thread
  const worker = new Worker(new URL('./decode-thread.js', import.meta.url), {
    workerData: settings,
    resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MIB },
  });
  const waiting = new Map<number, { resolve: (picture?: Picture) => void; reject: (error: Error) => void }>();
  let isClosing = false;
  let failure: DecodersEnded | undefined;
  const fail = (what: string, cause?: unknown) => {
    failure ??= new DecodersEnded(`a thread that decodes images has ${what}`, { cause });
    for (const { reject } of waiting.values()) reject(failure);
    waiting.clear();
  };
  worker.on('error', (error) => fail('failed', error));
  worker.on('exit', () => fail('ended'));
  const ended = new Promise((resolve) => worker.on('exit', resolve));
  worker.on('message', ({ id, reason, picture }: CropAnswer) => {
    const asked = waiting.get(id);
    waiting.delete(id);
    if (waiting.size === 0 && !isClosing) worker.unref(); // an idle thread does not keep the program alive
    if (reason === undefined) asked?.resolve(picture);
    else asked?.reject(new Error(reason));
  });
  worker.unref();
  return {
    waiting,
    ask(job: CropJob) {
      return new Promise<Picture | undefined>((resolve, reject) => {
        if (failure) return reject(failure);
        waiting.set(job.id, { resolve, reject });
        worker.ref();
        const { source } = job;
        if (!(source instanceof Uint8Array)) return worker.postMessage(job);
        const bytes = Uint8Array.from(source); // of its own memory: a part of a larger one would be sent with all of it
        worker.postMessage({ ...job, source: bytes }, [bytes.buffer]);
      });
    },
    async close() {
      isClosing = true; // and is waited for, whatever is answered before
      worker.ref();
      worker.postMessage(null);
      await ended;
    },
  };
}
