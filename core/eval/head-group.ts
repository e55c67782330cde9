import { RandomStream } from '../base/random.js';
import type { FeatureKind, HeadNorm, ProbeProtocol } from '../contract/data-sets.js';
import { type Tensor, type Tensor1D, type Tensor2D, tf } from '../engine/tf.js';
import { larsStep, sgdStep } from '../optim/momentum.js';
import type { Moving } from '../optim/optimiser.js';
import { type HeadChoice, headName } from './protocols.js';

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
  /** Decorrelates the features after their normalisation, [D, D]; missing where the protocol does not ask for it. */
  decorrelation?: Tensor2D;
}

/** What training changes of a group. */
export type GroupState = {
  /** [G, C D] */
  weight: Moving;
  /** [G, C] */
  bias: Moving;
  /** Batch norm's statistics, and each head's scale and shift, [G, D]; missing without normalisation. */
  norm?: { running: Statistics; scale: Moving; shift: Moving };
};

/** Mean and variance of the features, each [1, D]. */
type Statistics = { mean: Tensor; variance: Tensor };

/** Batch norm's, added to variances. */
export const EPSILON = 1e-5;
/** The fraction of the running statistics that a batch replaces. */
const REPLACED = 0.1;

/** Groups of the heads that can share their inputs. */
export function groupHeads(choices: readonly HeadChoice[], width: number, layers: number, classes: number) {
  const keyOf = ({ features, norm }: HeadChoice) => `${features}, ${norm}`;
  return [...new Set(choices.map(keyOf))].map((key): HeadGroup => {
    const heads = choices.filter((choice) => keyOf(choice) === key);
    const { features, norm } = heads[0];
    return { features, norm, heads, width: features === 'last' ? width : width * layers, classes };
  });
}

/**
 * Weights and biases as PyTorch's `nn.Linear` draws them, uniform within ±1/√D; batch norm with scale 1 and shift 0. Each
 * head's are drawn by its name, so that it starts alike in any company.
 */
export function initialGroupState({ heads, width, classes, norm }: HeadGroup, seed: number): GroupState {
  const size = classes * width;
  const bound = 1 / Math.sqrt(width);
  const weights = new Float32Array(heads.length * size);
  const biases = new Float32Array(heads.length * classes);
  heads.forEach((head, at) => {
    const stream = new RandomStream(seed, `head: ${headName(head)}`);
    const draw = () => bound * (2 * stream.uniform() - 1);
    for (let i = 0; i < size; i++) weights[at * size + i] = draw();
    for (let i = 0; i < classes; i++) biases[at * classes + i] = draw();
  });
  const resting = (value: Tensor): Moving => ({ value, velocity: tf.zeros(value.shape) });
  const linear = {
    weight: resting(tf.tensor2d(weights, [heads.length, size])),
    bias: resting(tf.tensor2d(biases, [heads.length, classes])),
  };
  if (norm === 'none') return linear;
  const running = { mean: tf.zeros([1, width]), variance: tf.ones([1, width]) };
  const [scale, shift] = [tf.ones([heads.length, width]), tf.zeros([heads.length, width])];
  return { ...linear, norm: { running, scale: resting(scale), shift: resting(shift) } };
}

/**
 * One step of all heads of a group.
 * @param features [B, layers width]; the last layer's are the last columns
 * @param labels [B], int32
 * @param learningRates [G, 1]
 */
export function groupStep(
  group: HeadGroup,
  settings: Pick<ProbeProtocol, 'optimiser' | 'momentum' | 'nesterov' | 'decorrelated'>,
  state: GroupState,
  features: Tensor2D,
  labels: Tensor1D,
  learningRates: Tensor,
): GroupState {
  return tf.tidy(() => {
    const { norm } = state;
    const columns = groupColumns(group, features); // [B, D]
    const statistics = norm && batchStatistics(columns);
    const gradient = groupGradient(group, state, inputsOf(group, columns, statistics), labels);
    const decays = group.heads.map(({ weightDecay }) => weightDecay);
    const used = decays.some((decay) => decay !== 0) ? tf.tensor2d(decays, [decays.length, 1]) : null;
    const stepWeights = settings.optimiser === 'lars' ? larsStep : sgdStep;
    const linear = {
      weight: stepWeights(state.weight, gradient.weight, learningRates, used, settings),
      bias: sgdStep(state.bias, gradient.bias, learningRates, used, settings),
    };
    if (!norm || !statistics) return linear;
    // As VISSL's `regularize_bn: False`: the scale and shift of batch norm do not decay. On decorrelated features they stay
    // what they are, because they would have to stand before the decorrelation.
    const affine = (name: 'scale' | 'shift'): Moving =>
      settings.decorrelated
        ? { value: norm[name].value.clone(), velocity: norm[name].velocity.clone() }
        : sgdStep(norm[name], gradient[name] as Tensor, learningRates, null, settings);
    const running = movedStatistics(norm.running, statistics, features.shape[0]);
    return { ...linear, norm: { running, scale: affine('scale'), shift: affine('shift') } };
  });
}

/**
 * Gradient of each head's mean softmax cross-entropy over the batch, derived by hand. Batch norm's scale s and shift t are
 * taken into the weights, so that all heads share X: with U = W diag(s) and c = b + W t,
 *
 *   Z = X Uᵀ + c;  S = ∂L/∂Z = (softmax(Z) - onehot(labels)) / B;  ∂L/∂U = Sᵀ X;  ∂L/∂c = ∂L/∂b = Σ over B of S
 *   ∂L/∂W = ∂L/∂U diag(s) + ∂L/∂c tᵀ;  ∂L/∂s = Σ over C of W ∘ ∂L/∂U;  ∂L/∂t = Wᵀ ∂L/∂c
 *
 * @param inputs X [B, D], normalised where the group normalises
 * @returns weight [G, C D], bias [G, C]; with batch norm scale and shift, each [G, D]
 */
export function groupGradient(group: HeadGroup, state: GroupState, inputs: Tensor2D, labels: Tensor1D) {
  const { classes, heads } = group;
  return tf.tidy(() => {
    const [rows, width] = inputs.shape;
    const logits = groupLogits(group, state, inputs).reshape([rows, heads.length, classes]);
    const target = tf.oneHot(labels, classes).cast('float32').reshape([rows, 1, classes]);
    const difference = tf.softmax(logits).sub(target); // [B, G, C]
    const grad = difference.mul(1 / rows).reshape([rows, heads.length * classes]) as Tensor2D; // S
    const product = tf.matMul(grad, inputs, true, false).reshape([heads.length, classes, width]); // ∂L/∂U
    const bias = sumOfRows(grad).reshape([heads.length, classes]);
    if (!state.norm) return { weight: product.reshape([heads.length, classes * width]), bias };
    const { scale, shift } = state.norm;
    const weight = state.weight.value.reshape([heads.length, classes, width]);
    const column = bias.reshape([heads.length, classes, 1]);
    const scaled = product.mul(scale.value.expandDims(1)).add(column.mul(shift.value.expandDims(1))); // ∂L/∂W
    return {
      weight: scaled.reshape([heads.length, classes * width]),
      bias,
      scale: weight.mul(product).sum(1),
      shift: weight.mul(column).sum(1),
    };
  });
}

/** The logits of all heads for normalised inputs [B, D], heads side by side, [B, G C]. */
export function groupLogits({ heads, classes, width }: HeadGroup, state: GroupState, inputs: Tensor2D): Tensor2D {
  const { norm, bias } = state;
  const weight = state.weight.value.reshape([heads.length, classes, width]);
  const scaled = norm ? weight.mul(norm.scale.value.expandDims(1)) : weight; // U [G, C, D]
  const shifted = norm ? bias.value.add(weight.mul(norm.shift.value.expandDims(1)).sum(2)) : bias.value; // c [G, C]
  const columns = heads.length * classes;
  const product = tf.matMul(inputs, scaled.reshape([columns, width]) as Tensor2D, false, true); // [B, G C]
  return product.add(shifted.reshape([1, columns]));
}

/** The logits for features [B, layers width] in testing: normalised by the running statistics, [B, G C]. */
export function testLogits(group: HeadGroup, state: GroupState, features: Tensor2D): Tensor2D {
  return tf.tidy(() => {
    const columns = groupColumns(group, features);
    return groupLogits(group, state, inputsOf(group, columns, state.norm?.running));
  });
}

/** The columns that a group sees, [B, D]. */
function groupColumns({ width }: HeadGroup, features: Tensor2D): Tensor2D {
  const [rows, columns] = features.shape;
  return columns === width ? features : features.slice([0, columns - width], [rows, width]);
}

/** Mean and biased variance over a batch, each [1, D]. */
function batchStatistics(columns: Tensor2D): Statistics {
  const rows = columns.shape[0];
  const mean = sumOfRows(columns).div(rows);
  return { mean, variance: sumOfRows(columns.sub(mean).square() as Tensor2D).div(rows) };
}

/** Normalised by the statistics, where there are some, and decorrelated. */
function inputsOf({ decorrelation }: HeadGroup, columns: Tensor2D, statistics: Statistics | undefined): Tensor2D {
  const inputs = statistics
    ? (columns.sub(statistics.mean).mul(tf.rsqrt(statistics.variance.add(EPSILON))) as Tensor2D)
    : columns;
  return decorrelation ? tf.matMul(inputs, decorrelation) : inputs;
}

/** Running statistics after a batch of B rows; as in PyTorch, with the unbiased variance. */
function movedStatistics(running: Statistics, batch: Statistics, rows: number): Statistics {
  const move = (old: Tensor, now: Tensor) => old.mul(1 - REPLACED).add(now.mul(REPLACED));
  return {
    mean: move(running.mean, batch.mean),
    variance: move(running.variance, batch.variance.mul(rows / Math.max(1, rows - 1))),
  };
}

/** Sum over rows, [B, D] -> [1, D], as a product with ones: faster than a reduction along the first axis. */
function sumOfRows(x: Tensor2D): Tensor2D {
  return tf.matMul(tf.ones([1, x.shape[0]]), x);
}
