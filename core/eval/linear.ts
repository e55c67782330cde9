import { setImmediate } from 'node:timers/promises';
import type { Engine } from '../engine/contract.js';
import { type Tensor2D, tf } from '../engine/tf.js';
import { percentWithin, ranksOf } from './accuracy.js';
import { type Inputs, inputWidth, pieces } from './samples.js';

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

/**
 * How a linear classifier ranks the right classes of samples, from 0.
 * @param numbers which samples; default: all
 */
export async function linearRanks(
  engine: Engine,
  { weight, bias }: LinearClassifier,
  inputs: Inputs,
  numbers?: Uint32Array,
): Promise<Int32Array> {
  const ranks = new Int32Array(numbers?.length ?? inputs.samples.rows);
  const w = tf.tensor2d(weight, [inputWidth(inputs), bias.length]);
  const b = tf.tensor2d(Float32Array.from(bias), [1, bias.length]);
  const scoresOf = engine.compile((x: Tensor2D, matrix: Tensor2D, row: Tensor2D) =>
    tf.tidy(() => tf.matMul(x, matrix).add(row)),
  );
  for (const { start, rows, shape, labels } of pieces(inputs, TEST_ROWS, numbers)) {
    const x = tf.tensor2d(rows, shape);
    const scores = await scoresOf(x, w, b);
    ranks.set(ranksOf(await scores.data(), labels, bias.length), start);
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
 * Σ x xᵀ over samples, all or those of these numbers: in float32 over 4096 samples at most, in double precision over those sums.
 * @returns [K, K]
 */
export async function productsOf(engine: Engine, inputs: Inputs, numbers?: Uint32Array): Promise<Float64Array> {
  const width = inputWidth(inputs);
  const sums = new Float64Array(width * width);
  const multiply = engine.compile((x: Tensor2D) => tf.matMul(x, x, true, false));
  for (const { rows, shape } of pieces(inputs, SUM_ROWS, numbers)) {
    const x = tf.tensor2d(rows, shape);
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
export async function decorrelation(engine: Engine, inputs: Inputs): Promise<Tensor2D> {
  const { rows } = inputs.samples;
  const width = inputWidth(inputs);
  const products = await productsOf(engine, inputs);
  const matrix = products.map((sum, at) => sum / rows + (at % (width + 1) === 0 ? DAMPING : 0));
  const inverse = invertedFactor(matrix, width);
  if (!inverse) throw notFinite();
  const turned = Float32Array.from(
    inverse,
    (_, at) => inverse[(at % width) * width + Math.floor(at / width)] as number,
  );
  return tf.tensor2d(turned, [width, width]);
}

export function notFinite(): Error {
  return new Error('the features of the training samples are not finite numbers');
}

/*
 * Systems with a symmetric positive definite matrix A [K, K], by its factor L of A = L Lᵀ, in double precision. The library
 * ml-matrix takes twice as long. All loops run along rows, which lie in one piece in memory.
 */

/**
 * A⁻¹ B
 * @param a A [K, K]; only its lower half is read
 * @param b B [K, C]
 * @returns [K, C], or null where A is not positive definite
 */
export function solvePositive(a: Float64Array, b: Float64Array, size: number): Float64Array | null {
  const lower = factorise(a, size);
  if (!lower) return null;
  const x = substituteForward(lower, b.slice(), size);
  const columns = b.length / size;
  for (let row = size - 1; row >= 0; row--) {
    for (let k = row + 1; k < size; k++) subtractRow(x, columns, k, lower[k * size + row] as number, row);
    scaleRow(x, columns, row, 1 / (lower[row * size + row] as number)); // Lᵀ X = Y
  }
  return x;
}

/** L⁻¹ [K, K], or null where A is not positive definite. */
export function invertedFactor(a: Float64Array, size: number): Float64Array | null {
  const lower = factorise(a, size);
  return lower && substituteForward(lower, identity(size), size, (k) => k + 1);
}

/** I [size, size] */
export function identity(size: number): Float64Array {
  return Float64Array.from({ length: size * size }, (_, at) => Number(at % (size + 1) === 0));
}

/**
 * L⁻¹ B in place of B.
 * @param used how many columns of row k of the result are not 0
 */
function substituteForward(
  lower: Float64Array,
  b: Float64Array,
  size: number,
  used: (k: number) => number = () => b.length / size,
): Float64Array {
  const columns = b.length / size;
  for (let row = 0; row < size; row++) {
    for (let k = 0; k < row; k++) subtractRow(b, columns, k, lower[row * size + k] as number, row, used(k));
    scaleRow(b, columns, row, 1 / (lower[row * size + row] as number));
  }
  return b;
}

/** L [K, K], or null where A is not positive definite. */
function factorise(a: Float64Array, size: number): Float64Array | null {
  const lower = a.slice();
  for (let row = 0; row < size; row++) {
    for (let column = 0; column <= row; column++) {
      let sum = lower[row * size + column] as number;
      for (let k = 0, r = row * size, c = column * size; k < column; k++, r++, c++) {
        sum -= (lower[r] as number) * (lower[c] as number);
      }
      if (column === row && !(sum > 0)) return null;
      lower[row * size + column] = column < row ? sum / (lower[column * size + column] as number) : Math.sqrt(sum);
    }
  }
  return lower;
}

/** x[to] -= factor x[from] */
function subtractRow(x: Float64Array, columns: number, from: number, factor: number, to: number, used = columns): void {
  for (let c = 0, f = from * columns, t = to * columns; c < used; c++, f++, t++) {
    x[t] = (x[t] as number) - factor * (x[f] as number);
  }
}

function scaleRow(x: Float64Array, columns: number, row: number, factor: number): void {
  for (let t = row * columns; t < (row + 1) * columns; t++) x[t] = (x[t] as number) * factor;
}
