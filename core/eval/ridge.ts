import type { Engine } from '../engine/contract.js';
import {
  addScaled,
  bestChoice,
  type LinearClassifier,
  linearRanks,
  notFinite,
  productsOf,
  solvePositive,
} from './linear.js';
import { holdOut, type Inputs, inputWidth, pieces, type Samples, standardise } from './samples.js';

/*
 * Letters: M samples, K width of the inputs, C classes.
 */

/** Rows that are standardised at once. */
const PIECE_ROWS = 4096;

/** Sums over samples, in double precision. */
export interface Sums {
  /** Σ x xᵀ [K, K] */
  readonly products: Float64Array;
  /** Σ x [K] */
  readonly features: Float64Array;
  /** Σ y xᵀ for one-hot y, [C, K] */
  readonly byClass: Float64Array;
  /** Σ y [C] */
  readonly counts: Float64Array;
}

/** Regularisation to choose from, in units of the features' variance, which is 1; strongest first. */
const REGULARISATIONS = [1, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0001] as const;
/** Where there are too few samples to choose. */
const DEFAULT_REGULARISATION = 0.1;

/**
 * A linear classifier in closed form: ridge regression of the one-hot classes on the last layer's standardised features.
 * The regularisation is the one with the best top-1 on a random tenth of the training samples, of equals the strongest;
 * with it, the classifier is fitted again on all of them.
 *
 * Several views of an image are samples of their own here, so that those held out may have kin among the rest.
 * @returns for each test sample the rank of its class, from 0
 */
export async function ridgeHead(engine: Engine, train: Samples, test: Samples, classes: number): Promise<Int32Array> {
  const inputs = standardise(train, 'last');
  const { held, rest } = holdOut(train.rows);
  const fitted = await sumsOf(engine, inputs, rest, classes);
  async function* candidates() {
    for (const choice of REGULARISATIONS) {
      const classifier = ridgeSolution(fitted, choice);
      if (classifier) yield { inputs, choice, ...classifier };
    }
  }
  const regularisation = await bestChoice<number>(engine, candidates(), held, DEFAULT_REGULARISATION);
  const all = together(fitted, await sumsOf(engine, inputs, held, classes));
  const classifier = ridgeSolution(all, regularisation);
  if (!classifier) throw notFinite();
  return linearRanks(engine, classifier, { ...inputs, samples: test });
}

/**
 * Ridge regression onto one-hot classes, with an intercept that is not regularised:
 *
 *   W = (Σ (x - x̄)(x - x̄)ᵀ / M + λ I)⁻¹ Σ (x - x̄)(y - ȳ)ᵀ / M;  b = ȳ - x̄ W
 *
 * @returns null where the matrix is not positive definite in double precision
 */
export function ridgeSolution(sums: Sums, regularisation: number): LinearClassifier | null {
  const { products, features, byClass, counts } = sums;
  const [width, classes] = [features.length, counts.length];
  const rows = counts.reduce((sum, count) => sum + count, 0);
  const mean = features.map((sum) => sum / rows); // x̄
  const fractions = counts.map((count) => count / rows); // ȳ
  const meanAt = (at: number, columns: number) => mean[Math.floor(at / columns)] as number;
  const matrix = products.map((sum, at) => {
    const covariance = sum / rows - meanAt(at, width) * (mean[at % width] as number);
    return at % (width + 1) === 0 ? covariance + regularisation : covariance;
  });
  const right = byClass.map((_, at) => {
    const sum = byClass[(at % classes) * width + Math.floor(at / classes)] as number; // [K, C] of [C, K]
    return sum / rows - meanAt(at, classes) * (fractions[at % classes] as number);
  });
  const weight = solvePositive(matrix, right, width);
  if (!weight) return null;
  const bias = fractions.slice();
  weight.forEach((value, at) => {
    bias[at % classes] = (bias[at % classes] as number) - meanAt(at, classes) * value;
  });
  return { weight: Float32Array.from(weight), bias };
}

/** The sums over the samples of these numbers. */
export async function sumsOf(engine: Engine, inputs: Inputs, numbers: Uint32Array, classes: number): Promise<Sums> {
  const width = inputWidth(inputs);
  const features = new Float64Array(width);
  const byClass = new Float64Array(classes * width);
  const counts = new Float64Array(classes);
  for (const { rows, labels } of pieces(inputs, PIECE_ROWS, numbers)) {
    labels.forEach((label, row) => {
      const x = rows.subarray(row * width, (row + 1) * width);
      counts[label] = (counts[label] as number) + 1;
      addScaled(features, x);
      addScaled(byClass, x, 1, label * width);
    });
  }
  return { products: await productsOf(engine, inputs, numbers), features, byClass, counts };
}

/** The sums over two sets of samples together. */
function together(a: Sums, b: Sums): Sums {
  const plus = (name: keyof Sums) => a[name].map((sum, at) => sum + (b[name][at] as number));
  return { products: plus('products'), features: plus('features'), byClass: plus('byClass'), counts: plus('counts') };
}
