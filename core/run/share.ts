import { mapState } from '../checkpoint/checkpoint.js';
import type { Options } from '../config/schema.js';
import { tf } from '../engine/tf.js';
import { lengthOf } from '../nn/parameters.js';
import { bytesOf } from '../train/communicator/arrays.js';
import { broadcastJson, type Ranks } from '../train/communicator/ranks.js';
import { stateShapes, type TrainState } from '../train/state.js';
import type { ResumePoint } from './begin.js';
import type { Training } from './prepare.js';

/** What rank 0 tells the others of a run. */
export interface SharedTask {
  /** The options that it was given. */
  given: Options;
  /** Those of the run. */
  options: Options;
  method: string;
  /** Images that were computed at once so far; null in a new run. */
  microBatchSize: number | null;
}

/** Tells the other ranks what is to be trained. */
export async function shareTask(ranks: Ranks, task: SharedTask): Promise<void> {
  await broadcastJson(ranks, task);
}

/**
 * Gives every rank the state from which rank 0 starts: it alone reads files. Lets the engine go on with the shapes that it
 * had on this rank, where the run had as many ranks.
 * @param start of rank 0; the others give null
 */
export async function shareState(training: Training, start: ResumePoint | null): Promise<TrainState> {
  const { engine, ranks, shards } = training;
  const { step, history } = await broadcastJson(ranks, start && { step: start.state.step, history: start.history });
  engine.history?.restore(ofRank(history, ranks));
  if (ranks.size === 1 && start) return start.state;
  const state = await broadcastState(training, start?.state ?? null, step);
  return shards ? shards.keepOwn(state) : state;
}

async function broadcastState({ method, optimiser, ranks }: Training, start: TrainState | null, step: number) {
  const shapes = stateShapes(method, optimiser.slotNames);
  const given = new Map<string, Float32Array>();
  if (start) {
    const reading: Promise<void>[] = [];
    mapState(start, (tensor, name) => {
      reading.push(tensor.data().then((data) => void given.set(name, data as Float32Array)));
    });
    await Promise.all(reading);
  }
  const names: [name: string, length: number][] = [];
  mapState(shapes, (shape, name) => names.push([name, lengthOf(shape)]));
  for (const [name, length] of names) {
    const bytes = await ranks.broadcast(start ? bytesOf(given.get(name) ?? new Float32Array(length)) : null);
    given.set(name, new Float32Array(bytes.buffer, bytes.byteOffset, length));
  }
  if (start) return start;
  const tensors = mapState(shapes, (shape, name) => tf.tensor(given.get(name) ?? [], [...shape]));
  return { step, ...tensors } satisfies TrainState;
}

/** What an engine remembered on a rank. */
function ofRank(history: unknown, { rank, size }: Ranks): unknown {
  const all = (history as { ranks?: unknown[] } | null | undefined)?.ranks;
  if (!Array.isArray(all)) return history;
  return all.length === size ? all[rank] : all[0];
}
