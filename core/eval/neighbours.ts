import { setImmediate } from 'node:timers/promises';
import type { Engine } from '../engine/contract.js';
import { type Tensor2D, tf } from '../engine/tf.js';
import { Largest } from './largest.js';
import { rankOf } from './ranks.js';

/** Features of one layer with their classes. */
export interface LabelledFeatures {
  /** [M, width] */
  readonly data: Float32Array;
  readonly width: number;
  /** [M] */
  readonly labels: Int32Array;
}

/** By which a similarity is divided before the exponential (DINO, Caron et al. 2021, appendix F.1). */
const TEMPERATURE = 0.07;
/** Rows of a product of similarities: 32 MiB of them at a time. */
const TRAIN_ROWS = 8192;
const TEST_ROWS = 1024;

/**
 * Weighted nearest neighbours by cosine similarity: each of the k training samples that are most similar votes for its
 * class with weight exp(similarity / 0.07), as in DINO.
 * @param ks those larger than the number of training samples are left out
 * @returns by k, for each test sample the rank of its class, from 0; a class without a vote is the last, and
 *   so is every class of a sample whose features are no numbers
 */
export async function nearestNeighbours(
  engine: Engine,
  train: LabelledFeatures,
  test: LabelledFeatures,
  classes: number,
  ks: readonly number[],
): Promise<Map<number, Int32Array>> {
  if (train.width !== test.width) throw new Error(`expected features of width ${train.width}, received ${test.width}`);
  const [trainRows, testRows] = [train.labels.length, test.labels.length];
  const possible = ks.filter((k) => k >= 1 && k <= trainRows).sort((a, b) => a - b);
  const most = possible.at(-1) ?? 0;
  const results = new Map(possible.map((k) => [k, new Int32Array(testRows).fill(classes - 1)]));
  if (most === 0) return results;
  const similarities = engine.compile((a: Tensor2D, b: Tensor2D) => tf.matMul(a, b, false, true));
  const queries = blocks(testRows, TEST_ROWS).map(({ start, rows }) => unitRows(test, start, rows));
  const nearest = Array.from({ length: testRows }, () => new Largest(most));
  for (const { start, rows } of blocks(trainRows, TRAIN_ROWS)) {
    const keys = unitRows(train, start, rows);
    for (const [block, query] of queries.entries()) {
      await setImmediate(); // lets timers and interrupts in
      const product = await similarities(query, keys);
      const values = (await product.data()) as Float32Array;
      product.dispose();
      for (let row = 0; row < query.shape[0]; row++) {
        nearest[block * TEST_ROWS + row]?.offer(values.subarray(row * rows, (row + 1) * rows), start);
      }
    }
    keys.dispose();
  }
  tf.dispose(queries);
  nearest.forEach((list, row) => {
    const right = test.labels[row] as number;
    const votes = new Float64Array(classes);
    list.sorted().forEach(({ value, index }, at) => {
      const voted = train.labels[index] as number;
      votes[voted] = (votes[voted] as number) + Math.exp(value / TEMPERATURE);
      const ranks = results.get(at + 1);
      if (ranks) ranks[row] = votes[right] === 0 ? classes - 1 : rankOf(votes, 0, classes, right);
    });
  });
  return results;
}

/** Rows parted into blocks of at most `most`. */
function blocks(rows: number, most: number): { start: number; rows: number }[] {
  return Array.from({ length: Math.ceil(rows / most) }, (_, block) => ({
    start: block * most,
    rows: Math.min(most, rows - block * most),
  }));
}

/** Rows of features divided by their lengths, [rows, width]; a row of zeros stays one. */
function unitRows({ data, width }: LabelledFeatures, start: number, rows: number): Tensor2D {
  const unit = data.slice(start * width, (start + rows) * width);
  for (let row = 0; row < rows; row++) {
    const from = row * width;
    let squares = 0;
    for (let i = from; i < from + width; i++) squares += (unit[i] as number) ** 2;
    const scale = squares > 0 ? 1 / Math.sqrt(squares) : 0;
    for (let i = from; i < from + width; i++) unit[i] = (unit[i] as number) * scale;
  }
  return tf.tensor2d(unit, [rows, width]);
}
