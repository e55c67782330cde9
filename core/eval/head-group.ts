import { type Tensor, type Tensor1D, type Tensor2D, tf } from '../engine/tf.js';
import type { FeatureKind, HeadNorm } from '../plugin.js';
import { RandomStream } from '../random.js';
import { type HeadChoice, headName } from './head-choices.js';
import { larsBiasStep, larsStep, type Moving, type OptimiserSettings, sgdStep } from './head-optimisers.js';

/*
 * Heads that see the same inputs, side by side: one product gives all their logits, one all their gradients.
 *
 * Letters: B samples of a batch, D width of the heads' features, G heads of the group, C classes.
 */

/** Heads that share the features and the normalisation; they differ in learning rate and weight decay. */
export interface HeadGroup {
  readonly features: FeatureKind;
  readonly norm: HeadNorm;
  readonly heads: readonly HeadChoice[];
  /** D */
  readonly width: number;
  readonly classes: number;
}

/** What training changes of a group. */
export type GroupState = {
  /** [G, C D] */
  weight: Moving;
  /** [G, C] */
  bias: Moving;
  /** Running mean and variance of the features, each [1, D]; missing without normalisation. */
  running?: Statistics;
};

export type Statistics = { mean: Tensor; variance: Tensor };

const EPSILON = 1e-5;
/** The part of the running statistics that a batch replaces. */
const RUNNING_MOMENTUM = 0.1;
const INITIAL_DEVIATION = 0.01;

export function groupHeads(
  choices: readonly HeadChoice[],
  width: number,
  layers: number,
  classes: number,
): HeadGroup[] {
  const groups = new Map<string, HeadChoice[]>();
  for (const choice of choices) {
    const key = `${choice.features}, ${choice.norm}`;
    groups.set(key, [...(groups.get(key) ?? []), choice]);
  }
  return [...groups.values()].map((heads) => {
    const { features, norm } = heads[0] as HeadChoice;
    return { features, norm, heads, width: features === 'last' ? width : width * layers, classes };
  });
}

/** Weights from a normal distribution of deviation 0.01, each head's by its name, so that it starts alike in any company. */
export function initialGroupState({ heads, width, classes, norm }: HeadGroup, seed: number): GroupState {
  const size = classes * width;
  const weights = new Float32Array(heads.length * size);
  heads.forEach((head, at) => {
    const stream = new RandomStream(seed, `head: ${headName(head)}`);
    for (let i = 0; i < size; i++) weights[at * size + i] = INITIAL_DEVIATION * stream.normal();
  });
  return {
    weight: { value: tf.tensor2d(weights, [heads.length, size]), velocity: tf.zeros([heads.length, size]) },
    bias: { value: tf.zeros([heads.length, classes]), velocity: tf.zeros([heads.length, classes]) },
    ...(norm === 'batch' && { running: { mean: tf.zeros([1, width]), variance: tf.ones([1, width]) } }),
  };
}

/**
 * One step of all heads of a group.
 * @param features [B, layers width]; the last layer's are the last columns
 * @param labels [B], int32
 * @param learningRates [G, 1]
 */
export function groupStep(
  group: HeadGroup,
  settings: OptimiserSettings,
  state: GroupState,
  features: Tensor2D,
  labels: Tensor1D,
  learningRates: Tensor,
): GroupState {
  return tf.tidy(() => {
    const columns = groupColumns(group, features); // [B, D]
    const statistics = state.running && batchStatistics(columns);
    const inputs = statistics ? normalised(columns, statistics) : columns; // [B, D]
    const gradient = groupGradient(group, state, inputs, labels);
    const decays = group.heads.map(({ weightDecay }) => weightDecay);
    const weightDecays = tf.tensor2d(decays, [decays.length, 1]);
    const moved = statistics && state.running && movedStatistics(state.running, statistics, features.shape[0]);
    const running = moved ? { running: moved } : {};
    if (settings.optimiser === 'lars') {
      return {
        weight: larsStep(state.weight, gradient.weight, learningRates, weightDecays, settings),
        bias: larsBiasStep(state.bias, gradient.bias, learningRates, settings),
        ...running,
      };
    }
    const used = decays.some((decay) => decay !== 0) ? weightDecays : null;
    return {
      weight: sgdStep(state.weight, gradient.weight, learningRates, used, settings),
      bias: sgdStep(state.bias, gradient.bias, learningRates, used, settings),
      ...running,
    };
  });
}

/**
 * Gradient of each head's mean softmax cross-entropy over the batch, derived by hand:
 *
 *   Z = X Wᵀ + b;  ∂L/∂Z = (softmax(Z) - onehot(labels)) / B;  ∂L/∂W = (∂L/∂Z)ᵀ X;  ∂L/∂b = Σ over B of ∂L/∂Z
 *
 * @param inputs X [B, D], normalised where the group normalises
 * @returns weight [G, C D], bias [G, C]
 */
export function groupGradient(
  group: HeadGroup,
  state: GroupState,
  inputs: Tensor2D,
  labels: Tensor1D,
): { weight: Tensor; bias: Tensor } {
  const { classes, heads } = group;
  return tf.tidy(() => {
    const [rows, width] = inputs.shape;
    const logits = groupLogits(group, state, inputs).reshape([rows, heads.length, classes]);
    const target = tf.oneHot(labels, classes).cast('float32').reshape([rows, 1, classes]);
    const slope = tf
      .softmax(logits)
      .sub(target)
      .mul(1 / rows)
      .reshape([rows, heads.length * classes]) as Tensor2D; // [B, G C]
    return {
      weight: tf.matMul(slope, inputs, true, false).reshape([heads.length, classes * width]),
      bias: sumOfRows(slope).reshape([heads.length, classes]),
    };
  });
}

/** The logits of all heads for normalised inputs [B, D], heads side by side, [B, G C]. */
export function groupLogits({ heads, classes, width }: HeadGroup, state: GroupState, inputs: Tensor2D): Tensor2D {
  const weight = state.weight.value.reshape([heads.length * classes, width]) as Tensor2D;
  return tf.matMul(inputs, weight, false, true).add(state.bias.value.reshape([1, heads.length * classes]));
}

/** The logits for features [B, layers width] in testing: normalised by the running statistics, [B, G C]. */
export function testLogits(group: HeadGroup, state: GroupState, features: Tensor2D): Tensor2D {
  return tf.tidy(() => {
    const columns = groupColumns(group, features);
    return groupLogits(group, state, state.running ? normalised(columns, state.running) : columns);
  });
}

/** The columns that a group sees, [B, D]. */
function groupColumns({ width }: HeadGroup, features: Tensor2D): Tensor2D {
  const [rows, columns] = features.shape;
  return columns === width ? features : features.slice([0, columns - width], [rows, width]);
}

/**
 * Mean and biased variance over a batch, each [1, D]. No scale and bias follow the normalisation: the linear layer after
 * it has them.
 */
function batchStatistics(columns: Tensor2D): Statistics {
  const rows = columns.shape[0];
  const mean = sumOfRows(columns).div(rows);
  return { mean, variance: sumOfRows(columns.sub(mean).square() as Tensor2D).div(rows) };
}

function normalised(columns: Tensor2D, { mean, variance }: Statistics): Tensor2D {
  return columns.sub(mean).mul(tf.rsqrt(variance.add(EPSILON)));
}

/** Running statistics after a batch of B rows; as in PyTorch, with the unbiased variance. */
function movedStatistics(running: Statistics, batch: Statistics, rows: number): Statistics {
  const move = (old: Tensor, seen: Tensor) => old.mul(1 - RUNNING_MOMENTUM).add(seen.mul(RUNNING_MOMENTUM));
  return {
    mean: move(running.mean, batch.mean),
    variance: move(running.variance, batch.variance.mul(rows / Math.max(1, rows - 1))),
  };
}

/** Sum over rows, [B, D] -> [1, D], as a product with ones: faster than a reduction along the first axis. */
function sumOfRows(x: Tensor2D): Tensor2D {
  return tf.matMul(tf.ones([1, x.shape[0]]), x);
}
