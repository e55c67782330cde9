import { UserError } from '../base/errors.js';
import { RandomStream } from '../base/random.js';
import { type Scalar, type Tensor, tf } from '../engine/tf.js';
import { type Brought, failureOf, reasonInPlugin } from '../plugins/brought.js';
import { drawNumbers, predictionLoss, regularization, type Terms } from './terms.js';

/** Blocks, patches of each, and rows: small, but with axes that cannot be mixed up. */
const [BLOCKS, PATCHES, ROWS] = [2, 3, 5];

/**
 * Computes each term of an objective once with its gradient, on a few random numbers, so that what cannot work is found
 * before a run begins.
 * @param width of the representations
 * @throws UserError that names the plugin
 */
export async function tryTerms({ loss, regularizer }: Terms, width: number): Promise<void> {
  const stream = new RandomStream(0, 'trial');
  const random = (...shape: number[]) => {
    const size = shape.reduce((product, side) => product * side, 1);
    return tf.tensor(
      Float32Array.from({ length: size }, () => stream.normal()),
      shape,
    );
  };
  const [predicted, target, pooled] = [
    random(BLOCKS, PATCHES, width),
    random(BLOCKS, PATCHES, width),
    random(ROWS, width),
  ];
  await tryOne(loss, predicted, (x) => predictionLoss(loss, x, target));
  if (regularizer) {
    const drawn = drawNumbers(regularizer, 0, 1, width);
    await tryOne(regularizer, pooled, (x) => regularization(regularizer, x, drawn));
    tf.dispose(drawn);
  }
  tf.dispose([predicted, target, pooled]);
}

async function tryOne(brought: Brought, x: Tensor, compute: (x: Tensor) => Scalar): Promise<void> {
  try {
    const { value, grad } = tf.valueAndGrad(compute)(x);
    const [[number = Number.NaN], slopes] = [await value.data(), await grad.data()];
    tf.dispose([value, grad]);
    if (!Number.isFinite(number)) throw failureOf(brought, `gave ${number} on normal random numbers`);
    if (!slopes.every(Number.isFinite)) throw failureOf(brought, 'has a gradient that is no number on random numbers');
  } catch (error) {
    throw error instanceof UserError ? error : failureOf(brought, `failed: ${reasonInPlugin(error)}`, error);
  }
}
