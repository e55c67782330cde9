import { setImmediate } from 'node:timers/promises';
import type { Engine } from '../engine/contract.js';
import { type Tensor2D, tf } from '../engine/tf.js';
import { rankOf } from './accuracy.js';
import { inputRows, piecesOf, range, type Samples } from './samples.js';

/** By which a similarity is divided before the exponential (DINO, Caron et al. 2021, appendix F.1). */
const TEMPERATURE = 0.07;
/** Rows of a product of similarities: 32 MiB of them at a time. */
const TRAIN_ROWS = 8192;
const TEST_ROWS = 1024;

/**
 * Weighted nearest neighbours by cosine similarity of the last layer's features: each of the k training samples that are
 * most similar votes for its class with weight exp(similarity / 0.07), as in DINO.
 * @param ks those larger than the number of training samples are left out
 * @returns by k, for each test sample the rank of its class, from 0; a class without a vote is the last, and
 *   so is every class of a sample whose features are NaN
 */
export async function nearestNeighbours(
  engine: Engine,
  train: Samples,
  test: Samples,
  classes: number,
  ks: readonly number[],
): Promise<Map<number, Int32Array>> {
  if (train.width !== test.width) throw new Error(`expected features of width ${train.width}, received ${test.width}`);
  const possible = ks.filter((k) => k >= 1 && k <= train.rows).sort((a, b) => a - b);
  const largest = possible.at(-1) ?? 0;
  const results = new Map(possible.map((k) => [k, new Int32Array(test.rows).fill(classes - 1)]));
  if (largest === 0) return results;
  const similarities = engine.compile((a: Tensor2D, b: Tensor2D) => tf.matMul(a, b, false, true));
  const queries = Array.from(piecesOf(range(0, test.rows), TEST_ROWS), ({ piece }) => unitRows(test, piece));
  const nearest = Array.from({ length: test.rows }, () => new Largest(largest));
  for (const { start, piece } of piecesOf(range(0, train.rows), TRAIN_ROWS)) {
    const keys = unitRows(train, piece);
    for (const [block, query] of queries.entries()) {
      await setImmediate(); // lets timers and interrupts in
      const product = await similarities(query, keys);
      const values = (await product.data()) as Float32Array;
      product.dispose();
      for (let row = 0; row < query.shape[0]; row++) {
        const similar = values.subarray(row * piece.length, (row + 1) * piece.length);
        nearest[block * TEST_ROWS + row]?.offer(similar, start);
      }
    }
    keys.dispose();
  }
  tf.dispose(queries);
  nearest.forEach(({ values, indices, count }, row) => {
    const right = test.labels[row] as number;
    const votes = new Float64Array(classes);
    for (let at = 0; at < count; at++) {
      const voted = train.labels[indices[at] as number] as number;
      votes[voted] = (votes[voted] as number) + Math.exp((values[at] as number) / TEMPERATURE);
      const ranks = results.get(at + 1);
      if (ranks) ranks[row] = votes[right] === 0 ? classes - 1 : rankOf(votes, 0, classes, right);
    }
  });
  return results;
}

/** The k largest of many numbers, largest first; of equal ones those that came first. NaN is passed over. */
class Largest {
  readonly values: Float32Array;
  readonly indices: Uint32Array;
  /** How many there are: k, or as many as were offered. */
  count = 0;

  constructor(k: number) {
    this.values = new Float32Array(k).fill(Number.NEGATIVE_INFINITY);
    this.indices = new Uint32Array(k);
  }

  /** Takes in numbers, of which the first one's index is `first`. */
  offer(numbers: Float32Array, first: number): void {
    const { values, indices } = this;
    const last = values.length - 1;
    for (let at = 0; at < numbers.length; at++) {
      const value = numbers[at] as number;
      if (!(value > (values[last] as number))) continue;
      let place = last;
      for (; place > 0 && value > (values[place - 1] as number); place--) {
        values[place] = values[place - 1] as number;
        indices[place] = indices[place - 1] as number;
      }
      values[place] = value;
      indices[place] = first + at;
      this.count = Math.min(this.count + 1, values.length);
    }
  }
}

/** Rows of the last layer's features divided by their lengths, [rows, D]; a row of zeros stays one. */
function unitRows(samples: Samples, numbers: Uint32Array): Tensor2D {
  const { width } = samples;
  const rows = inputRows({ samples, features: 'last', standardiser: null }, numbers);
  for (let from = 0; from < rows.length; from += width) {
    let squares = 0;
    for (let at = from; at < from + width; at++) squares += (rows[at] as number) ** 2;
    const scale = squares > 0 ? 1 / Math.sqrt(squares) : 0;
    for (let at = from; at < from + width; at++) rows[at] = (rows[at] as number) * scale;
  }
  return tf.tensor2d(rows, [numbers.length, width]);
}
