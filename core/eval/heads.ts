import { setImmediate } from 'node:timers/promises';
import { RandomStream } from '../base/random.js';
import type { Compiled, Engine } from '../engine/contract.js';
import { type Tensor, type Tensor1D, type Tensor2D, tf } from '../engine/tf.js';
import type { ProbeProtocol } from '../plugin.js';
import { decorrelation } from './decorrelate.js';
import { type HeadChoice, headChoices, headName } from './head-choices.js';
import { type GroupState, groupHeads, groupStep, type HeadGroup, initialGroupState, testLogits } from './head-group.js';
import { learningRateAt, stepsPerEpoch } from './protocols.js';
import { percentWithin, rankOf } from './ranks.js';
import { allLayers, checkSamples, pickRows, type Samples } from './samples.js';
import { type Standardiser, standardised, standardiserOf } from './standardise.js';

export { type HeadChoice, headChoices, headName } from './head-choices.js';

export interface TrainedHead {
  choice: HeadChoice;
  name: string;
  /** Top-1 on the task's test samples after each epoch, percent. */
  curve: number[];
  /** For each test sample the rank of the right class after the last epoch, from 0. */
  ranks: Int32Array;
}

export interface HeadTask {
  /** The features to train on in an epoch, counted from 0. */
  train: (epoch: number) => Promise<Samples>;
  test: Samples;
  classes: number;
  protocol: ProbeProtocol;
  /** The heads to train; all of the protocol's grid where it is left out. */
  choices?: readonly HeadChoice[];
  seed: number;
  onEpoch?: (epoch: number, epochs: number, bestTop1: number) => void;
  signal?: AbortSignal;
}

/** What a step learns from: features [B, layers D], labels [B], learning rates [G, 1] of each group. */
type Batch = { features: Tensor2D; labels: Tensor1D; rates: Tensor[] };
type Steps = Compiled<[GroupState[], Batch[]], GroupState[]>;

/** Steps that are computed in one go: the weights of all heads leave the engine once for all of them. */
const STEPS_AT_ONCE = 8;

/** Rows that are tested at once. */
const TEST_ROWS = 1024;

/**
 * Trains all heads of a protocol's grid side by side: softmax regression on frozen features. Each epoch takes the samples
 * in a fresh order; the last batch has what is left of them, and is left out only if that is a single sample, which batch
 * norm cannot learn from. Where there are fewer samples than the protocol's batch, they are the batch, and the learning rate
 * is scaled to it.
 *
 * What an epoch's `train` gives may differ from epoch to epoch, in other views of the images, but not in its form.
 * @throws the signal's reason if it is aborted
 */
export async function trainHeads(engine: Engine, task: HeadTask): Promise<TrainedHead[]> {
  const { test, classes, protocol, seed, signal } = task;
  checkSamples('test', test, classes);
  const grid = groupHeads(task.choices ?? headChoices(protocol), test.width, test.layers, classes);
  const { groups, standardiser } = protocol.decorrelated
    ? await decorrelatedGroups(engine, grid, await task.train(0))
    : { groups: grid, standardiser: null };
  const takeSteps: Steps = engine.compile((initial, batches) =>
    tf.tidy(() => {
      let states = initial;
      for (const { features, labels, rates } of batches) {
        states = groups.map((group, at) =>
          groupStep(group, protocol, states[at] as GroupState, features, labels, rates[at] as Tensor),
        );
      }
      return states;
    }),
  );
  const logitsOf = engine.compile((states: GroupState[], features: Tensor2D) =>
    groups.map((group, at) => testLogits(group, states[at] as GroupState, features)),
  );
  const heads = groups.flatMap((group) =>
    group.heads.map(
      (choice): TrainedHead => ({ choice, name: headName(choice), curve: [], ranks: new Int32Array(test.rows) }),
    ),
  );
  let states = groups.map((group) => initialGroupState(group, seed));
  try {
    for (let epoch = 0; epoch < protocol.epochs; epoch++) {
      const train = await task.train(epoch);
      checkSamples('train', train, classes);
      if (train.width !== test.width || train.layers !== test.layers) {
        throw new Error(`expected ${test.layers} x ${test.width} features, received ${train.layers} x ${train.width}`);
      }
      states = await trainEpoch(takeSteps, groups, states, { train, standardiser }, task, epoch);
      await rankTest(logitsOf, groups, states, { test, standardiser }, heads, signal);
      for (const head of heads) head.curve.push(percentWithin(head.ranks, 1));
      task.onEpoch?.(epoch, protocol.epochs, Math.max(...heads.map(({ curve }) => curve[epoch] as number)));
    }
  } finally {
    tf.dispose([states, groups.map(({ decorrelation }) => decorrelation)]);
  }
  return heads;
}

/** The groups with their decorrelating matrices, which belong to the caller, and what standardises their features before. */
async function decorrelatedGroups(
  engine: Engine,
  groups: readonly HeadGroup[],
  train: Samples,
): Promise<{ groups: HeadGroup[]; standardiser: Standardiser }> {
  const result: HeadGroup[] = [];
  for (const group of groups) {
    const { width, features } = group;
    const matrix = await decorrelation(engine, train, features);
    result.push({ ...group, decorrelation: tf.tensor2d(matrix, [width, width]) });
  }
  return { groups: result, standardiser: standardiserOf(allLayers(train)) };
}

async function trainEpoch(
  takeSteps: Steps,
  groups: readonly HeadGroup[],
  initial: GroupState[],
  { train, standardiser }: { train: Samples; standardiser: Standardiser | null },
  { protocol, seed, signal }: HeadTask,
  epoch: number,
): Promise<GroupState[]> {
  const order = new RandomStream(seed, 'head order', epoch).permutation(train.rows);
  const batch = Math.min(protocol.batchSize, train.rows);
  const steps = stepsPerEpoch(train.rows, batch);
  let states = initial;
  try {
    for (let from = 0; from < steps; from += STEPS_AT_ONCE) {
      await setImmediate(); // some engines compute without ever letting timers and interrupts in
      signal?.throwIfAborted();
      const batches: Batch[] = [];
      for (let at = from; at < Math.min(from + STEPS_AT_ONCE, steps); at++) {
        const numbers = order.subarray(at * batch, (at + 1) * batch);
        if (numbers.length === 1 && steps > 1) continue;
        const { features, labels } = gather(train, numbers, standardiser);
        const rates = ratesOf(groups, learningRateAt(protocol, epoch * steps + at, steps, batch));
        batches.push({ features, labels, rates });
      }
      const next = await takeSteps(states, batches);
      tf.dispose([states, batches]);
      states = next;
    }
    return states;
  } catch (error) {
    tf.dispose(states);
    throw error;
  }
}

/** The learning rate of each head, [G, 1] for each group. */
function ratesOf(groups: readonly HeadGroup[], learningRate: number): Tensor2D[] {
  return groups.map(({ heads }) =>
    tf.tensor2d(
      heads.map(({ learningRateFactor }) => learningRate * learningRateFactor),
      [heads.length, 1],
    ),
  );
}

/** Writes each test sample's rank into each head's list. */
async function rankTest(
  logitsOf: Compiled<[GroupState[], Tensor2D], Tensor2D[]>,
  groups: readonly HeadGroup[],
  states: GroupState[],
  { test, standardiser }: { test: Samples; standardiser: Standardiser | null },
  heads: readonly TrainedHead[],
  signal: AbortSignal | undefined,
): Promise<void> {
  const columns = test.layers * test.width;
  for (let start = 0; start < test.rows; start += TEST_ROWS) {
    await setImmediate();
    signal?.throwIfAborted();
    const rows = Math.min(TEST_ROWS, test.rows - start);
    const numbers = Uint32Array.from({ length: rows }, (_, at) => start + at);
    const features = tf.tensor2d(rowsOf(test, numbers, standardiser), [rows, columns]);
    const logits = await logitsOf(states, features);
    let first = 0; // the number of the group's first head
    for (const [at, group] of groups.entries()) {
      const scores = await (logits[at] as Tensor2D).data();
      group.heads.forEach((_, head) => {
        const { ranks } = heads[first + head] as TrainedHead;
        for (let row = 0; row < rows; row++) {
          const place = (row * group.heads.length + head) * group.classes;
          ranks[start + row] = rankOf(scores, place, group.classes, test.labels[start + row] as number);
        }
      });
      first += group.heads.length;
    }
    tf.dispose([features, logits]);
  }
}

/** The samples of these numbers as tensors. */
function gather(
  samples: Samples,
  numbers: Uint32Array,
  standardiser: Standardiser | null,
): { features: Tensor2D; labels: Tensor1D } {
  const features = rowsOf(samples, numbers, standardiser);
  const labels = Int32Array.from(numbers, (number) => samples.labels[number] as number);
  return {
    features: tf.tensor2d(features, [numbers.length, samples.width * samples.layers]),
    labels: tf.tensor1d(labels, 'int32'),
  };
}

/** The features of the samples of these numbers, [numbers, layers D]. */
function rowsOf(samples: Samples, numbers: Uint32Array, standardiser: Standardiser | null): Float32Array {
  return standardiser ? standardised(allLayers(samples), standardiser, numbers) : pickRows(samples, numbers).data;
}
