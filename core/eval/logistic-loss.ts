import { setImmediate } from 'node:timers/promises';
import type { Engine } from '../engine/contract.js';
import { type Tensor1D, type Tensor2D, tf } from '../engine/tf.js';
import { solvePositive } from './cholesky.js';
import type { Evaluation } from './lbfgs.js';
import type { Samples } from './samples.js';
import { type Standardiser, standardised } from './standardise.js';

/*
 * What logistic regression minimises, on an engine.
 *
 * Letters: M samples, D features, C classes; X features, W weights, b intercepts; λ regularisation.
 */

/** The samples to fit, standardised, in pieces that the engine multiplies. */
export interface FittedSamples {
  readonly rows: number;
  readonly width: number;
  readonly classes: number;
  readonly pieces: readonly { x: Tensor2D; labels: Tensor1D }[];
  dispose(): void;
}

const PIECE_ROWS = 4096;
/** Columns whose products a block of the preconditioner knows: inverting more takes too long. */
const BLOCK = 512;
/** Of the covariance's largest eigenvalue, which the number of features bounds. */
const PRODUCT_ROUNDING = 1e-7;

export function fittedSamples(
  samples: Samples,
  standardiser: Standardiser,
  numbers: Uint32Array,
  classes: number,
): FittedSamples {
  const { width } = samples;
  const pieces: { x: Tensor2D; labels: Tensor1D }[] = [];
  for (let start = 0; start < numbers.length; start += PIECE_ROWS) {
    const piece = numbers.subarray(start, start + PIECE_ROWS);
    const labels = Int32Array.from(piece, (number) => samples.labels[number] as number);
    pieces.push({
      x: tf.tensor2d(standardised(samples, standardiser, piece), [piece.length, width]),
      labels: tf.tensor1d(labels, 'int32'),
    });
  }
  return { rows: numbers.length, width, classes, pieces, dispose: () => tf.dispose([...pieces]) };
}

export type LossOf = ReturnType<typeof prepareLoss>;

/**
 * Prepares the loss for an engine: L = -1/M Σ log softmax(X Wᵀ + b)[y] + λ/2 ‖W‖², the intercepts not regularised. A point
 * is W [C, D], then b [C]. Products are of single precision, their sums over pieces of double.
 */
export function prepareLoss(engine: Engine) {
  const compute = engine.compile((x: Tensor2D, labels: Tensor1D, weight: Tensor2D, bias: Tensor1D) =>
    tf.tidy(() => {
      const classes = weight.shape[0];
      const logits = tf.matMul(x, weight, false, true).add(bias.reshape([1, classes])); // [B, C]
      const target = tf.oneHot(labels, classes).cast('float32');
      const losses = tf.logSoftmax(logits).mul(target).sum(1).neg(); // [B]
      const slope = tf.softmax(logits).sub(target) as Tensor2D; // [B, C]
      const ones = tf.ones([1, x.shape[0]]) as Tensor2D;
      return { losses, weight: tf.matMul(slope, x, true, false), bias: tf.matMul(ones, slope) };
    }),
  );
  return ({ rows, width, classes, pieces }: FittedSamples, regularisation: number, signal?: AbortSignal) =>
    async (point: Float64Array): Promise<Evaluation> => {
      const size = classes * width;
      const weight = tf.tensor2d(Float32Array.from(point.subarray(0, size)), [classes, width]);
      const bias = tf.tensor1d(Float32Array.from(point.subarray(size)));
      const gradient = new Float64Array(point.length);
      let loss = 0;
      try {
        for (const { x, labels } of pieces) {
          await setImmediate(); // lets timers and interrupts in
          signal?.throwIfAborted();
          const result = await compute(x, labels, weight, bias);
          for (const value of await result.losses.data()) loss += value / rows;
          addScaled(gradient, 0, await result.weight.data(), 1 / rows);
          addScaled(gradient, size, await result.bias.data(), 1 / rows);
          tf.dispose(result);
        }
      } finally {
        tf.dispose([weight, bias]);
      }
      for (let at = 0; at < size; at++) {
        const value = point[at] as number;
        loss += (regularisation / 2) * value * value;
        gradient[at] = (gradient[at] as number) + regularisation * value;
      }
      return { loss, gradient };
    };
}

/**
 * A guess at the inverse Hessian: (h Σ + λ I)⁻¹ for the weights of every class, with the features' covariance Σ in blocks of
 * 512 columns, and 1/h for the intercepts. h = (C - 1)/C² is the curvature of the softmax where all classes are alike.
 * Without it, features that nearly repeat one another, as a network's do, take thousands of steps.
 * @param products Σ x xᵀ over the fitted, standardised samples [D, D]
 */
export function preconditioner(
  products: Float64Array,
  { rows, width, classes }: FittedSamples,
  regularisation: number,
): (vector: Float64Array) => Promise<Float64Array> {
  const curvature = (classes - 1) / classes ** 2;
  // The covariance's own rounding errors, in single precision, must not be taken for directions.
  const damping = Math.max(regularisation, PRODUCT_ROUNDING * curvature * width);
  const blocks: { start: number; size: number; inverse: Float64Array }[] = [];
  for (let start = 0; start < width; start += BLOCK) {
    const size = Math.min(BLOCK, width - start);
    const matrix = new Float64Array(size * size);
    const identity = new Float64Array(size * size);
    for (let row = 0; row < size; row++) {
      for (let column = 0; column < size; column++) {
        const product = products[(start + row) * width + start + column] as number;
        matrix[row * size + column] = (curvature * product) / rows;
      }
      matrix[row * (size + 1)] = (matrix[row * (size + 1)] as number) + damping;
      identity[row * (size + 1)] = 1;
    }
    const inverse = solvePositive(matrix, identity, size);
    if (!inverse) throw new Error('the features of the training samples are not finite numbers');
    blocks.push({ start, size, inverse });
  }
  return async (vector) => {
    const result = vector.map((value) => value / curvature); // right for the intercepts
    for (let row = 0; row < classes; row++) {
      for (const { start, size, inverse } of blocks) multiplyRow(vector, row * width + start, inverse, size, result);
    }
    return result;
  };
}

/** Row vector times a symmetric matrix [size, size], into the same place of the result. */
function multiplyRow(
  vector: Float64Array,
  from: number,
  matrix: Float64Array,
  size: number,
  result: Float64Array,
): void {
  for (let row = 0; row < size; row++) {
    let sum = 0;
    for (let at = 0, m = row * size; at < size; at++, m++) {
      sum += (vector[from + at] as number) * (matrix[m] as number);
    }
    result[from + row] = sum;
  }
}

function addScaled(sums: Float64Array, start: number, addends: ArrayLike<number>, scale: number): void {
  for (let at = 0; at < addends.length; at++) {
    sums[start + at] = (sums[start + at] as number) + scale * (addends[at] as number);
  }
}
