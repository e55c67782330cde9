import { setImmediate } from 'node:timers/promises';
import type { Engine } from '../engine/contract.js';
import { type Tensor2D, tf } from '../engine/tf.js';
import { solvePositive } from './cholesky.js';
import type { LinearClassifier } from './linear-ranks.js';
import type { Samples } from './samples.js';
import { type Standardiser, standardised } from './standardise.js';

/*
 * What ridge regression, and the preconditioner of logistic regression, have to know of their samples, gathered in one pass.
 *
 * Letters: M samples, D features (of the last layer), C classes.
 */

/** Sums over samples, in double precision. */
export interface Sums {
  readonly rows: number;
  /** Σ x xᵀ [D, D] */
  readonly products: Float64Array;
  /** Σ x [D] */
  readonly features: Float64Array;
  /** Σ x yᵀ for one-hot y, [D, C] */
  readonly byClass: Float64Array;
  /** Σ y [C] */
  readonly counts: Float64Array;
}

const BATCH = 4096;

/** Sums over the samples of these numbers. Products are summed in float32 over 4096 samples at most. */
export async function sumsOf(
  engine: Engine,
  samples: Samples,
  standardiser: Standardiser,
  numbers: Uint32Array,
  classes: number,
): Promise<Sums> {
  const { width, labels } = samples;
  const products = new Float64Array(width * width);
  const features = new Float64Array(width);
  const transposed = new Float64Array(classes * width); // Σ y xᵀ
  const counts = new Float64Array(classes);
  const multiply = engine.compile((x: Tensor2D) => tf.matMul(x, x, true, false));
  for (let start = 0; start < numbers.length; start += BATCH) {
    const batch = numbers.subarray(start, start + BATCH);
    const rows = standardised(samples, standardiser, batch);
    const x = tf.tensor2d(rows, [batch.length, width]);
    await setImmediate(); // lets timers and interrupts in
    const product = await multiply(x);
    addTo(products, 0, (await product.data()) as Float32Array, 0, products.length);
    tf.dispose([x, product]);
    batch.forEach((number, at) => {
      const label = labels[number] as number;
      addTo(features, 0, rows, at * width, width);
      addTo(transposed, label * width, rows, at * width, width);
      counts[label] = (counts[label] as number) + 1;
    });
  }
  return { rows: numbers.length, products, features, byClass: transpose(transposed, classes, width), counts };
}

/** The sums over two sets of samples together. */
export function together(a: Sums, b: Sums): Sums {
  const plus = (one: Float64Array, other: Float64Array) => one.map((value, at) => value + (other[at] as number));
  return {
    rows: a.rows + b.rows,
    products: plus(a.products, b.products),
    features: plus(a.features, b.features),
    byClass: plus(a.byClass, b.byClass),
    counts: plus(a.counts, b.counts),
  };
}

/**
 * Ridge regression onto one-hot classes, with an intercept that is not regularised:
 *
 *   W = (Σ (x - x̄)(x - x̄)ᵀ / M + λ I)⁻¹ Σ (x - x̄)(y - ȳ)ᵀ / M;  b = ȳ - x̄ W
 *
 * @returns null where the matrix is not positive definite in double precision
 */
export function ridgeSolution(sums: Sums, regularisation: number): LinearClassifier | null {
  const { rows, products, features, byClass, counts } = sums;
  const [width, classes] = [features.length, counts.length];
  const mean = features.map((sum) => sum / rows); // x̄
  const share = counts.map((count) => count / rows); // ȳ
  const matrix = products.map((sum, at) => {
    const [row, column] = [Math.floor(at / width), at % width];
    const covariance = sum / rows - (mean[row] as number) * (mean[column] as number);
    return row === column ? covariance + regularisation : covariance;
  });
  const right = byClass.map(
    (sum, at) => sum / rows - (mean[Math.floor(at / classes)] as number) * (share[at % classes] as number),
  );
  const weight = solvePositive(matrix, right, width);
  if (!weight) return null;
  const bias = share.slice();
  weight.forEach((value, at) => {
    bias[at % classes] = (bias[at % classes] as number) - (mean[Math.floor(at / classes)] as number) * value;
  });
  return { weight: Float32Array.from(weight), bias };
}

function addTo(sums: Float64Array, start: number, addends: Float32Array, from: number, count: number): void {
  for (let i = 0; i < count; i++) sums[start + i] = (sums[start + i] as number) + (addends[from + i] as number);
}

/** [rows, columns] -> [columns, rows] */
export function transpose(matrix: Float64Array, rows: number, columns: number): Float64Array {
  const turned = new Float64Array(matrix.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      turned[column * rows + row] = matrix[row * columns + column] as number;
    }
  }
  return turned;
}
