import type { Engine } from '../engine/contract.js';
import { type Tensor2D, tf } from '../engine/tf.js';
import { RandomStream } from '../random.js';
import type { Samples } from './heads.js';
import { percentWithin, rankOf } from './ranks.js';
import {
  type LinearClassifier,
  ridgeSolution,
  type Standardiser,
  standardised,
  standardiserOf,
  sumsOf,
  together,
} from './ridge-sums.js';

/** Regularisation to choose from, in units of the features' variance, which is 1; strongest first. */
export const REGULARISATIONS = [1, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0001] as const;
/** Where there are too few samples to choose. */
const DEFAULT_REGULARISATION = 0.1;
const TEST_ROWS = 1024;

/**
 * A linear classifier in closed form: ridge regression of the one-hot classes on the last layer's standardised features.
 * The regularisation is the one with the best top-1 on a random tenth of the training samples, of equals the strongest;
 * with it, the classifier is fitted again on all of them.
 *
 * Several views of an image are samples of their own here, so that those held out may have kin among the rest.
 * @returns for each test sample the rank of its class, from 0
 */
export async function ridgeHead(engine: Engine, train: Samples, test: Samples, classes: number): Promise<Int32Array> {
  if (train.width !== test.width) throw new Error(`expected features of width ${train.width}, received ${test.width}`);
  const standardiser = standardiserOf(train);
  const order = new RandomStream(0, 'ridge held out').permutation(train.rows);
  const held = order.subarray(0, Math.floor(train.rows / 10));
  const fitted = await sumsOf(engine, train, standardiser, order.subarray(held.length), classes);
  const heldSums = await sumsOf(engine, train, standardiser, held, classes);
  let best = { regularisation: DEFAULT_REGULARISATION, top1: -1 };
  for (const regularisation of held.length > 0 ? REGULARISATIONS : []) {
    const classifier = ridgeSolution(fitted, regularisation);
    if (!classifier) continue;
    const top1 = percentWithin(await ranksOf(engine, classifier, train, standardiser, held, classes), 1);
    if (top1 > best.top1) best = { regularisation, top1 };
  }
  const classifier = ridgeSolution(together(fitted, heldSums), best.regularisation);
  if (!classifier) throw new Error('the features of the training samples are not finite numbers');
  const all = Uint32Array.from({ length: test.rows }, (_, index) => index);
  return ranksOf(engine, classifier, test, standardiser, all, classes);
}

/** The ranks of the right classes of the samples of these numbers. */
async function ranksOf(
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
  for (let start = 0; start < numbers.length; start += TEST_ROWS) {
    const batch = numbers.subarray(start, start + TEST_ROWS);
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
