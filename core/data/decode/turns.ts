import { setTimeout } from 'node:timers/promises';

/*
 * libvips has one buffer of error messages for all threads of the process, so that a failing picture may be given the
 * reason of another one that fails at the same time. Who wants the true reason decodes alone.
 */

/** Places in the shared memory: decodings that are under way; whether one is alone, or waits to be. */
const ACTIVE = 0;
const ALONE = 1;
/** Milliseconds until who waits looks again: only where a picture is damaged does anybody wait. */
const PAUSE = 1;

/** Shared by the threads of the process: handed to each when it is started. */
let turns: Int32Array<SharedArrayBuffer> | undefined;

/** The memory by which threads take turns; a new thread is given it for `joinTurns`. */
export function sharedTurns(): Int32Array<SharedArrayBuffer> {
  turns ??= new Int32Array(new SharedArrayBuffer(8));
  return turns;
}

/** Takes turns with the thread from which this comes. */
export function joinTurns(shared: Int32Array<SharedArrayBuffer>): void {
  turns = shared;
}

/** Decodes, or writes a picture, while others may, in any thread. */
export async function decodeTogether<T>(decode: () => Promise<T>): Promise<T> {
  const state = sharedTurns();
  for (;;) {
    Atomics.add(state, ACTIVE, 1);
    if (Atomics.load(state, ALONE) === 0) break;
    Atomics.sub(state, ACTIVE, 1);
    await setTimeout(PAUSE);
  }
  try {
    return await decode();
  } finally {
    Atomics.sub(state, ACTIVE, 1);
  }
}

/** Decodes while nobody else does. */
export async function decodeAlone<T>(decode: () => Promise<T>): Promise<T> {
  const state = sharedTurns();
  while (Atomics.compareExchange(state, ALONE, 0, 1) !== 0) await setTimeout(PAUSE);
  try {
    while (Atomics.load(state, ACTIVE) > 0) await setTimeout(PAUSE);
    return await decode();
  } finally {
    Atomics.store(state, ALONE, 0);
  }
}
