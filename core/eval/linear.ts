import { setImmediate } from 'node:timers/promises';
import type { Engine } from '../engine/contract.js';
import { type Tensor2D, tf } from '../engine/tf.js';
import { percentWithin, ranksOf } from './accuracy.js';
import { invertedFactor } from './cholesky.js';
import { type Inputs, inputRows, inputWidth, labelsOf, piecesOf, range } from './samples.js';

/*
 * What the linear classifiers have in common.
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

/** Rows that are tested, and rows whose products are summed, at once. */
const TEST_ROWS = 1024;
const SUM_ROWS = 4096;
/** Directions of less variance than this stay smaller than the others, so that noise is not made as large as they are. */
const DAMPING = 0.01;

/** How a linear classifier ranks the right classes of the samples of these numbers, from 0. */
export async function linearRanks(
  engine: Engine,
  { weight, bias }: LinearClassifier,
  inputs: Inputs,
  numbers: Uint32Array,
): Promise<Int32Array> {
  const ranks = new Int32Array(numbers.length);
  const width = inputWidth(inputs);
  const w = tf.tensor2d(weight, [width, bias.length]);
  const b = tf.tensor2d(Float32Array.from(bias), [1, bias.length]);
  const scoresOf = engine.compile((x: Tensor2D, matrix: Tensor2D, row: Tensor2D) =>
    tf.tidy(() => tf.matMul(x, matrix).add(row)),
  );
  for (const { start, piece } of piecesOf(numbers, TEST_ROWS)) {
    const x = tf.tensor2d(inputRows(inputs, piece), [piece.length, width]);
    const scores = await scoresOf(x, w, b);
    ranks.set(ranksOf(await scores.data(), labelsOf(inputs.samples, piece), bias.length), start);
    tf.dispose([x, scores]);
  }
  tf.dispose([w, b]);
  return ranks;
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
    const top1 = percentWithin(await linearRanks(engine, classifier, inputs, held), 1);
    if (top1 > best.top1) best = { choice, top1 };
  }
  return best.choice;
}

/**
 * Σ x xᵀ over the samples of these numbers: in float32 over 4096 samples at most, in double precision over those sums.
 * @returns [K, K]
 */
export async function productsOf(engine: Engine, inputs: Inputs, numbers: Uint32Array): Promise<Float64Array> {
  const width = inputWidth(inputs);
  const sums = new Float64Array(width * width);
  const multiply = engine.compile((x: Tensor2D) => tf.matMul(x, x, true, false));
  for (const { piece } of piecesOf(numbers, SUM_ROWS)) {
    const x = tf.tensor2d(inputRows(inputs, piece), [piece.length, width]);
    await setImmediate(); // lets timers and interrupts in
    const product = await multiply(x);
    addScaled(sums, await product.data());
    tf.dispose([x, product]);
  }
  return sums;
}

/** sums[start + i] += factor addends[i] */
export function addScaled(sums: Float64Array, addends: ArrayLike<number>, factor = 1, start = 0): void {
  for (let at = 0; at < addends.length; at++) {
    sums[start + at] = (sums[start + at] as number) + factor * (addends[at] as number);
  }
}

/**
 * The matrix that decorrelates standardised features (whitening by Cholesky's factor): with their covariance Σ and
 * L Lᵀ = Σ + 0.01 I, the rows of X become those of X L⁻ᵀ, whose covariance is nearly I.
 * @returns L⁻ᵀ [K, K]
 * @throws Error if the features are not finite numbers
 */
export async function decorrelation(engine: Engine, inputs: Inputs): Promise<Float32Array> {
  const { rows } = inputs.samples;
  const width = inputWidth(inputs);
  const products = await productsOf(engine, inputs, range(0, rows));
  const matrix = products.map((sum, at) => sum / rows + (at % (width + 1) === 0 ? DAMPING : 0));
  const inverse = invertedFactor(matrix, width);
  if (!inverse) throw notFinite();
  return Float32Array.from(inverse, (_, at) => inverse[(at % width) * width + Math.floor(at / width)] as number);
}

export function notFinite(): Error {
  return new Error('the features of the training samples are not finite numbers');
}
