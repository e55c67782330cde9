import { setImmediate } from 'node:timers/promises';
import { RandomStream } from '../base/random.js';
import type { ProbeProtocol } from '../contract/data-sets.js';
import type { Engine } from '../engine/contract.js';
import { type Tensor, type Tensor1D, type Tensor2D, tf } from '../engine/tf.js';
import { namedClass, percentWithin, type Ranked, rankOf } from './accuracy.js';
import { type GroupState, groupHeads, groupStep, type HeadGroup, initialGroupState, testLogits } from './head-group.js';
import { decorrelation } from './linear.js';
import { type LinearHead, linearHead } from './linear-head.js';
import { type HeadChoice, headChoices, headName, learningRateAt, type Selection, stepsPerEpoch } from './protocols.js';
import { checkSamples, holdOut, type Inputs, pickSamples, pieces, type Samples, standardise } from './samples.js';

/** A head after the last epoch. */
export interface TrainedHead extends Ranked {
  choice: HeadChoice;
  name: string;
  /** Top-1 on the task's test samples after each epoch, percent. */
  curve: number[];
  /** What it has learned; of the best of the heads that were trained together, by top-1 after the last epoch. */
  learned?: LinearHead;
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
  /** Gets each epoch that is done, from 1. */
  onEpoch?: (epoch: number, epochs: number, bestTop1: number) => void;
  signal?: AbortSignal | undefined;
}

/** What a step learns from: features [B, L D], labels [B], learning rates [G, 1] of each group. */
type Batch = { features: Tensor2D; labels: Tensor1D; rates: Tensor[] };

/** Steps that are computed in one go: the weights of all heads leave the engine once for all of them. */
const STEPS_AT_ONCE = 8;
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
  const first = protocol.decorrelated ? await task.train(0) : undefined;
  const standardiser = first && standardise(first, 'last-4').standardiser;
  const inputsOf = (samples: Samples): Inputs => ({ samples, features: 'last-4', standardiser });
  const groups = groupHeads(task.choices ?? headChoices(protocol), test.width, test.layers, classes);
  if (first) {
    for (const group of groups) group.decorrelation = await decorrelation(engine, standardise(first, group.features));
  }
  const takeSteps = engine.compile((initial: GroupState[], batches: Batch[]) =>
    tf.tidy(() => {
      let states = initial;
      for (const { features, labels, rates } of batches) {
        states = groups.map((group, at) => groupStep(group, protocol, states[at], features, labels, rates[at]));
      }
      return states;
    }),
  );
  const logitsOf = engine.compile((states: GroupState[], features: Tensor2D) =>
    groups.map((group, at) => testLogits(group, states[at], features)),
  );
  const untrained = (choice: HeadChoice): TrainedHead => {
    const [ranks, predicted] = [new Int32Array(test.rows), new Int32Array(test.rows)];
    return { choice, name: headName(choice), curve: [], ranks, predicted };
  };
  const trained = groups.map((group) => group.heads.map(untrained));
  const heads = trained.flat();
  let states = groups.map((group) => initialGroupState(group, seed));
  try {
    for (let epoch = 0; epoch < protocol.epochs; epoch++) {
      const train = await task.train(epoch);
      checkSamples('train', train, classes);
      if (train.width !== test.width || train.layers !== test.layers) {
        throw new Error(`expected ${test.layers} x ${test.width} features, received ${train.layers} x ${train.width}`);
      }
      for (const batches of batchesOf(inputsOf(train), groups, task, epoch)) {
        const next = await takeSteps(states, batches);
        tf.dispose([states, batches]);
        states = next;
        await setImmediate(); // lets timers and interrupts in: some engines compute without ever doing so
        signal?.throwIfAborted();
      }
      for (const { start, rows, shape, labels } of pieces(inputsOf(test), TEST_ROWS)) {
        await setImmediate();
        signal?.throwIfAborted();
        const features = tf.tensor2d(rows, shape);
        const logits = await logitsOf(states, features);
        for (const [at, ofGroup] of logits.entries()) {
          rankHeads(trained[at], await ofGroup.data(), labels, start);
        }
        tf.dispose([features, logits]);
      }
      for (const head of heads) head.curve.push(percentWithin(head.ranks, 1));
      task.onEpoch?.(epoch + 1, protocol.epochs, Math.max(...heads.map(({ curve }) => curve[epoch])));
    }
    const best = bestOf(heads);
    const group = trained.findIndex((ofGroup) => ofGroup.includes(best));
    best.learned = await linearHead(groups[group], states[group], trained[group].indexOf(best), standardiser);
  } finally {
    tf.dispose([states, groups.map(({ decorrelation }) => decorrelation)]);
  }
  return heads;
}

/**
 * Trains the heads of a protocol's grid and chooses the one with the highest top-1 accuracy, of equal ones the first.
 * @returns `heads`: the grid, judged on the images on which the choice was made; none where there were too few to hold any
 *   out. `best`: the chosen head, trained on all training images and judged on the test images
 * @throws the signal's reason if it is aborted
 */
export async function selectHead(
  engine: Engine,
  task: Omit<HeadTask, 'choices'>,
  { selection, plain }: { selection: Selection; plain: Samples },
): Promise<{ heads: readonly TrainedHead[]; best: TrainedHead }> {
  if (selection === 'test') {
    const heads = await trainHeads(engine, task);
    return { heads, best: bestOf(heads) };
  }
  const { held, rest } = holdOut(plain.rows);
  const train = async (epoch: number) => pickSamples(await task.train(epoch), rest);
  const heads = held.length === 0 ? [] : await trainHeads(engine, { ...task, train, test: pickSamples(plain, held) });
  const choice = heads.length > 0 ? bestOf(heads).choice : headChoices(task.protocol)[0];
  if (!choice) throw new Error('a protocol without heads');
  const { onEpoch: _, ...alone } = task;
  return { heads, best: bestOf(await trainHeads(engine, { ...alone, choices: [choice] })) };
}

function bestOf(heads: readonly TrainedHead[]): TrainedHead {
  const top1 = ({ curve }: TrainedHead) => curve.at(-1) ?? 0;
  return heads.reduce((found, head) => (top1(head) > top1(found) ? head : found));
}

/** An epoch's batches in a fresh order, so many together as are computed in one go. */
function* batchesOf(train: Inputs, groups: readonly HeadGroup[], task: HeadTask, epoch: number): Generator<Batch[]> {
  const { protocol, seed } = task;
  const { rows } = train.samples;
  const size = Math.min(protocol.batchSize, rows);
  const steps = stepsPerEpoch(rows, size);
  const numbers = new RandomStream(seed, 'head order', epoch).permutation(rows);
  let batches: Batch[] = [];
  for (const piece of pieces({ ...train, numbers }, size)) {
    if (piece.labels.length === 1 && steps > 1) break; // the last one
    const learningRate = learningRateAt(protocol, epoch * steps + piece.start / size, steps, size);
    batches.push({
      features: tf.tensor2d(piece.rows, piece.shape),
      labels: tf.tensor1d(piece.labels, 'int32'),
      rates: groups.map(({ heads }) => tf.tensor2d(heads.map((head) => [learningRate * head.learningRateFactor]))),
    });
    if (batches.length < STEPS_AT_ONCE) continue;
    yield batches;
    batches = [];
  }
  if (batches.length > 0) yield batches;
}

/** Writes ranks and predictions of n samples, from place `start` on, into the lists of each head of a group; scores [n, G C]. */
function rankHeads(heads: TrainedHead[], scores: ArrayLike<number>, labels: Int32Array, start: number): void {
  const classes = scores.length / (labels.length * heads.length);
  for (const [head, { ranks, predicted }] of heads.entries()) {
    labels.forEach((label, row) => {
      const first = (row * heads.length + head) * classes;
      ranks[start + row] = rankOf(scores, first, classes, label);
      predicted[start + row] = namedClass(scores, first, classes, label, ranks[start + row]);
    });
  }
}
