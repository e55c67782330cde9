import type { Engine } from '../engine/contract.js';
import { type Tensor2D, tf } from '../engine/tf.js';
import { rankOf } from './ranks.js';
import type { Samples } from './samples.js';
import { type Standardiser, standardised } from './standardise.js';

/** A linear classifier: scores = x W + b. */
export interface LinearClassifier {
  /** W [D, C] */
  readonly weight: Float32Array;
  /** b [C] */
  readonly bias: Float64Array;
}

const ROWS = 1024;

/**
 * How a linear classifier of standardised features ranks the right classes of the samples of these numbers, from 0.
 */
export async function linearRanks(
  engine: Engine,
  { weight, bias }: LinearClassifier,
  samples: Samples,
  standardiser: Standardiser,
  numbers: Uint32Array,
  classes: number,
): Promise<Int32Array> {
  const ranks = new Int32Array(numbers.length);
  const w = tf.tensor2d(weight, [samples.width, classes]);
  const b = tf.tensor2d(Float32Array.from(bias), [1, classes]);
  const scoresOf = engine.compile((x: Tensor2D, matrix: Tensor2D, row: Tensor2D) =>
    tf.tidy(() => tf.matMul(x, matrix).add(row)),
  );
  for (let start = 0; start < numbers.length; start += ROWS) {
    const batch = numbers.subarray(start, start + ROWS);
    const x = tf.tensor2d(standardised(samples, standardiser, batch), [batch.length, samples.width]);
    const product = await scoresOf(x, w, b);
    const scores = await product.data();
    batch.forEach((number, row) => {
      ranks[start + row] = rankOf(scores, row * classes, classes, samples.labels[number] as number);
    });
    tf.dispose([x, product]);
  }
  tf.dispose([w, b]);
  return ranks;
}
