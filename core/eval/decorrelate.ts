import type { Engine } from '../engine/contract.js';
import type { FeatureKind } from '../plugin.js';
import { invertedFactor } from './cholesky.js';
import { sumsOf } from './ridge-sums.js';
import { type Samples, samplesOf } from './samples.js';
import { standardiserOf } from './standardise.js';

/** Directions of less variance than this stay smaller than the others, so that noise is not made as large as they are. */
const DAMPING = 0.01;

/**
 * The matrix that decorrelates standardised features (whitening by Cholesky's factor): with their covariance Σ and
 * L Lᵀ = Σ + 0.01 I, the rows of X become those of X L⁻ᵀ, whose covariance is nearly I.
 *
 * Letters: D columns of the kind of features.
 * @returns L⁻ᵀ [D, D]
 * @throws Error if the features are not finite numbers
 */
export async function decorrelation(engine: Engine, train: Samples, features: FeatureKind): Promise<Float32Array> {
  const samples = samplesOf(train, features);
  const { rows, width } = samples;
  const all = Uint32Array.from({ length: rows }, (_, at) => at);
  const { products } = await sumsOf(engine, samples, standardiserOf(samples), all, 1);
  const matrix = products.map((sum, at) => sum / rows + (at % (width + 1) === 0 ? DAMPING : 0));
  const inverse = invertedFactor(matrix, width);
  if (!inverse) throw new Error('the features of the training samples are not finite numbers');
  return Float32Array.from(inverse, (_, at) => inverse[(at % width) * width + Math.floor(at / width)] as number);
}
