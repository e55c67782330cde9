import { EigenvalueDecomposition, Matrix, QrDecomposition } from 'ml-matrix';
import { RandomStream } from '../base/random.js';
import type { Engine } from '../engine/contract.js';
import { productsOf } from './linear.js';
import { type Samples, standardise } from './samples.js';

/*
 * Principal component analysis.
 *
 * Letters: M samples, D width, K components.
 */

export interface PrincipalComponents {
  /** [D] */
  mean: Float64Array;
  /** Unit vectors [K, D], that of the largest variance first; the largest entry of each is positive. */
  directions: readonly Float64Array[];
  /** Part of the whole variance along each, [K]. */
  parts: readonly number[];
}

/** Directions that are followed beside the wanted ones, so that the last of these settle, and rounds. */
const BESIDE = 8;
const ROUNDS = 12;

/**
 * The first principal components of rows of features, by orthogonal iteration (Golub and Van Loan 2013, 8.2.4) on their
 * covariance: Q ← orthonormalised Σ Q, then the eigenvectors of Qᵀ Σ Q.
 * @param samples of one layer, [M, D]; M at least 1
 * @param count K, at most D
 */
export async function principalComponents(
  engine: Engine,
  samples: Samples,
  count: number,
): Promise<PrincipalComponents> {
  const { width, rows } = samples;
  const { standardiser } = standardise(samples, 'last');
  const mean = standardiser?.mean ?? new Float64Array(width);
  const centred = {
    samples,
    features: 'last' as const,
    standardiser: { mean, scale: new Float64Array(width).fill(1) },
  };
  const products = await productsOf(engine, centred);
  const covariance = Matrix.from1DArray(width, width, products).div(rows); // Σ
  const followed = Math.min(width, count + BESIDE);
  const stream = new RandomStream(0, 'principal components');
  let basis = new Matrix(width, followed);
  for (let at = 0; at < width * followed; at++) {
    basis.set(Math.floor(at / followed), at % followed, stream.uniform() - 0.5);
  }
  for (let round = 0; round < ROUNDS; round++) {
    basis = new QrDecomposition(covariance.mmul(basis)).orthogonalMatrix; // [D, K + 8]
  }
  const small = basis.transpose().mmul(covariance).mmul(basis);
  const { realEigenvalues, eigenvectorMatrix } = new EigenvalueDecomposition(small, { assumeSymmetric: true });
  const order = realEigenvalues.map((_, at) => at).sort((a, b) => realEigenvalues[b] - realEigenvalues[a]);
  const vectors = basis.mmul(eigenvectorMatrix); // [D, K + 8]
  const total = covariance.trace();
  const kept = order.slice(0, count);
  return {
    mean,
    directions: kept.map((at) => turned(Float64Array.from(vectors.getColumn(at)))),
    parts: kept.map((at) => (total > 0 ? Math.max(0, realEigenvalues[at]) / total : 0)),
  };
}

/** Of the two signs of a direction, the one that makes its largest entry positive. */
function turned(direction: Float64Array): Float64Array {
  const largest = direction.reduce((found, value) => (Math.abs(value) > Math.abs(found) ? value : found), 0);
  return largest < 0 ? direction.map((value) => -value) : direction;
}

/**
 * Coordinates of rows along components: (x - mean) · direction.
 * @param data [M, D]
 * @returns [M, K]
 */
export function projectRows(data: Float32Array, { mean, directions }: PrincipalComponents): Float32Array {
  const [width, count] = [mean.length, directions.length];
  const rows = data.length / width;
  const offsets = directions.map((direction) => direction.reduce((sum, value, i) => sum + value * mean[i], 0));
  const projected = new Float32Array(rows * count);
  for (let row = 0; row < rows; row++) {
    for (const [k, direction] of directions.entries()) {
      let sum = -offsets[k];
      for (let i = 0; i < width; i++) sum += data[row * width + i] * direction[i];
      projected[row * count + k] = sum;
    }
  }
  return projected;
}
