import { setImmediate } from 'node:timers/promises';
import type { Compiled, Engine } from '../engine/contract.js';
import { type Tensor, type Tensor1D, type Tensor2D, tf } from '../engine/tf.js';
import type { ProbeProtocol } from '../plugin.js';
import { RandomStream } from '../random.js';
import { type HeadChoice, headChoices, headName } from './head-choices.js';
import { type GroupState, groupHeads, groupStep, type HeadGroup, initialGroupState, testLogits } from './head-group.js';
import { learningRateAt, stepsPerEpoch } from './protocols.js';
import { percentWithin, rankOf } from './ranks.js';

export { type HeadChoice, headChoices, headName } from './head-choices.js';

/** Features of labelled images in memory. */
export interface Samples {
  readonly rows: number;
  /** D, of one layer. */
  readonly width: number;
  readonly layers: number;
  /** [rows, layers D]; the last D columns are the last layer's. */
  readonly data: Float32Array;
  /** [rows] */
  readonly labels: Int32Array;
}

export interface TrainedHead {
  choice: HeadChoice;
  name: string;
  /** Top-1 on the test images after each epoch, percent. */
  curve: number[];
  /** For each test image the rank of the right class after the last epoch, from 0. */
  ranks: Int32Array;
}

export interface HeadTask {
  /** The features to train on in an epoch, counted from 0. */
  train: (epoch: number) => Promise<Samples>;
  test: Samples;
  classes: number;
  protocol: ProbeProtocol;
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
 * in a fresh order; those that fill no whole batch are left out of it. Where there are fewer samples than the protocol's
 * batch, they are the batch, and the learning rate is scaled to it.
 *
 * What an epoch's `train` gives may differ from epoch to epoch, in other views of the images, but not in its form.
 * @throws the signal's reason if it is aborted
 */
export async function trainHeads(engine: Engine, task: HeadTask): Promise<TrainedHead[]> {
  const { test, classes, protocol, seed, signal } = task;
  checkSamples('test', test, classes);
  const groups = groupHeads(headChoices(protocol), test.width, test.layers, classes);
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
      states = await trainEpoch(takeSteps, groups, states, train, task, epoch);
      await rankTest(logitsOf, groups, states, test, heads, signal);
      for (const head of heads) head.curve.push(percentWithin(head.ranks, 1));
      task.onEpoch?.(epoch, protocol.epochs, Math.max(...heads.map(({ curve }) => curve[epoch] as number)));
    }
  } finally {
    tf.dispose(states);
  }
  return heads;
}

async function trainEpoch(
  takeSteps: Steps,
  groups: readonly HeadGroup[],
  initial: GroupState[],
  train: Samples,
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
        const { features, labels } = gather(train, order.subarray(at * batch, (at + 1) * batch));
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
  test: Samples,
  heads: readonly TrainedHead[],
  signal: AbortSignal | undefined,
): Promise<void> {
  const columns = test.layers * test.width;
  for (let start = 0; start < test.rows; start += TEST_ROWS) {
    await setImmediate();
    signal?.throwIfAborted();
    const rows = Math.min(TEST_ROWS, test.rows - start);
    const features = tf.tensor2d(test.data.subarray(start * columns, (start + rows) * columns), [rows, columns]);
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
  { width, layers, data, labels }: Samples,
  numbers: Uint32Array,
): { features: Tensor2D; labels: Tensor1D } {
  const columns = width * layers;
  const features = new Float32Array(numbers.length * columns);
  const classes = new Int32Array(numbers.length);
  numbers.forEach((number, at) => {
    features.set(data.subarray(number * columns, (number + 1) * columns), at * columns);
    classes[at] = labels[number] as number;
  });
  return {
    features: tf.tensor2d(features, [numbers.length, columns]),
    labels: tf.tensor1d(classes, 'int32'),
  };
}

function checkSamples(name: string, { rows, width, layers, data, labels }: Samples, classes: number): void {
  const expected = rows * width * layers;
  if (rows === 0 || data.length !== expected || labels.length !== rows) {
    throw new Error(
      `${name} samples: expected ${rows} > 0 rows, ${expected} numbers and ${rows} labels, received ${data.length} and ${labels.length}`,
    );
  }
  const wrong = labels.find((label) => label < 0 || label >= classes);
  if (wrong !== undefined) throw new Error(`${name} samples: expected classes below ${classes}, received ${wrong}`);
}
