import { setImmediate } from 'node:timers/promises';
import type { Engine } from '../engine/contract.js';
import { type Tensor2D, tf } from '../engine/tf.js';
import { namedClass, percentWithin, type Ranked, ranksOf } from './accuracy.js';
import { holdOut, type Inputs, inputCount, inputWidth, pieces, type Samples, standardise } from './samples.js';
import { addScaled, invertedFactor, solvePositive } from './solvers.js';

/*
 * What the linear classifiers have in common, and the one in closed form.
 *
 * Letters: M samples, K width of the inputs, C classes.
 */

/** scores = x W + b */
export interface LinearClassifier {
  /** W [K, C] */
  readonly weight: Float32Array;
  /** b [C] */
  readonly bias: Float64Array;
}

/** Rows that are tested, and rows that are summed, at once. */
const TEST_ROWS = 1024;
const SUM_ROWS = 4096;
/** Directions of less variance than this stay smaller than the others, so that noise is not made as large as they are. */
const DAMPING = 0.01;

/** How a linear classifier ranks the right classes, from 0. */
export async function linearRanks(engine: Engine, classifier: LinearClassifier, inputs: Inputs): Promise<Int32Array> {
  return (await judgeLinear(engine, classifier, inputs)).ranks;
}

/** How a linear classifier ranks the right classes, and which it names. */
export async function judgeLinear(engine: Engine, classifier: LinearClassifier, inputs: Inputs): Promise<Ranked> {
  const { weight, bias } = classifier;
  const ranks = new Int32Array(inputCount(inputs));
  const predicted = new Int32Array(ranks.length);
  const w = tf.tensor2d(weight, [inputWidth(inputs), bias.length]);
  const b = tf.tensor2d(Float32Array.from(bias), [1, bias.length]);
  const scoresOf = engine.compile((x: Tensor2D, matrix: Tensor2D, row: Tensor2D) =>
    tf.tidy(() => tf.matMul(x, matrix).add(row)),
  );
  for (const { start, rows, shape, labels } of pieces(inputs, TEST_ROWS)) {
    const x = tf.tensor2d(rows, shape);
    const scores = await scoresOf(x, w, b);
    const values = await scores.data();
    const found = ranksOf(values, labels, bias.length);
    ranks.set(found, start);
    for (const [row, rank] of found.entries())
      predicted[start + row] = namedClass(values, row * bias.length, bias.length, labels[row], rank);
    tf.dispose([x, scores]);
  }
  tf.dispose([w, b]);
  return { ranks, predicted };
}

/** The choice whose classifier has the best top-1 on held-out samples, of equals the first. */
export async function bestChoice<Choice>(
  engine: Engine,
  candidates: AsyncIterable<LinearClassifier & { inputs: Inputs; choice: Choice }>,
  held: Uint32Array,
  fallback: Choice,
): Promise<Choice> {
  if (held.length === 0) return fallback;
  let best = { choice: fallback, top1: -1 };
  for await (const { inputs, choice, ...classifier } of candidates) {
    const top1 = percentWithin(await linearRanks(engine, classifier, { ...inputs, numbers: held }), 1);
    if (top1 > best.top1) best = { choice, top1 };
  }
  return best.choice;
}

/**
 * Σ x xᵀ: in float32 over 4096 samples at most, in double precision over those sums.
 * @returns [K, K]
 */
export async function productsOf(engine: Engine, inputs: Inputs): Promise<Float64Array> {
  const width = inputWidth(inputs);
  const sums = new Float64Array(width * width);
  const multiply = engine.compile((x: Tensor2D) => tf.matMul(x, x, true, false));
  for (const { rows, shape } of pieces(inputs, SUM_ROWS)) {
    const x = tf.tensor2d(rows, shape);
    await setImmediate(); // lets timers and interrupts in
    const product = await multiply(x);
    addScaled(sums, await product.data());
    tf.dispose([x, product]);
  }
  return sums;
}

/**
 * The matrix that decorrelates standardised features (whitening by Cholesky's factor): with their covariance Σ and
 * L Lᵀ = Σ + 0.01 I, the rows of X become those of X L⁻ᵀ, whose covariance is nearly I.
 * @returns L⁻ᵀ [K, K]
 * @throws Error if the features are not finite numbers
 */
export async function decorrelation(engine: Engine, inputs: Inputs): Promise<Tensor2D> {
  const { rows } = inputs.samples;
  const width = inputWidth(inputs);
  const products = await productsOf(engine, inputs);
  const matrix = products.map((sum, at) => sum / rows + (at % (width + 1) === 0 ? DAMPING : 0));
  const inverse = invertedFactor(matrix, width);
  if (!inverse) throw notFinite();
  const turned = Float32Array.from(inverse, (_, at) => inverse[(at % width) * width + Math.floor(at / width)]);
  return tf.tensor2d(turned, [width, width]);
}

export function notFinite(): Error {
  return new Error('the features of the training samples are not finite numbers');
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
  const fitted = await sumsOf(engine, { ...inputs, numbers: rest }, classes);
  async function* candidates() {
    for (const choice of REGULARISATIONS) {
      const classifier = ridgeSolution(fitted, choice);
      if (classifier) yield { inputs, choice, ...classifier };
    }
  }
  const regularisation = await bestChoice<number>(engine, candidates(), held, DEFAULT_REGULARISATION);
  const all = together(fitted, await sumsOf(engine, { ...inputs, numbers: held }, classes));
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
  const meanAt = (at: number, columns: number) => mean[Math.floor(at / columns)];
  const matrix = products.map((sum, at) => {
    const covariance = sum / rows - meanAt(at, width) * mean[at % width];
    return at % (width + 1) === 0 ? covariance + regularisation : covariance;
  });
  const right = byClass.map((_, at) => {
    const sum = byClass[(at % classes) * width + Math.floor(at / classes)]; // [K, C] of [C, K]
    return sum / rows - meanAt(at, classes) * fractions[at % classes];
  });
  const weight = solvePositive(matrix, right, width);
  if (!weight) return null;
  const bias = fractions.slice();
  weight.forEach((value, at) => {
    bias[at % classes] -= meanAt(at, classes) * value;
  });
  return { weight: Float32Array.from(weight), bias };
}

/** Sums over what is seen, in double precision. */
export async function sumsOf(engine: Engine, inputs: Inputs, classes: number) {
  const width = inputWidth(inputs);
  const features = new Float64Array(width); // Σ x [K]
  const byClass = new Float64Array(classes * width); // Σ y xᵀ for one-hot y, [C, K]
  const counts = new Float64Array(classes); // Σ y [C]
  for (const { rows, labels } of pieces(inputs, SUM_ROWS)) {
    labels.forEach((label, row) => {
      const x = rows.subarray(row * width, (row + 1) * width);
      counts[label] += 1;
      addScaled(features, x);
      addScaled(byClass, x, 1, label * width);
    });
  }
  return { products: await productsOf(engine, inputs), features, byClass, counts };
}

type Sums = Awaited<ReturnType<typeof sumsOf>>;

function together(a: Sums, b: Sums): Sums {
  const plus = (name: keyof Sums) => a[name].map((sum, at) => sum + b[name][at]);
  return { products: plus('products'), features: plus('features'), byClass: plus('byClass'), counts: plus('counts') };
}
