import { UserError } from '../base/errors.js';
import { RandomStream } from '../base/random.js';
import { type Scalar, type Tensor, tf } from '../engine/tf.js';
import { type Brought, failureOf, reasonInPlugin } from '../plugins/brought.js';

/** The terms of an objective, which plugins bring. */
export interface Terms {
  loss: Brought<'loss'>;
  /** None, or none that weighs anything: null. */
  regularizer: Brought<'regularizer'> | null;
}

/** What a regularizer drew for a step, by name. */
export type Drawn = Record<string, Tensor>;

/**
 * The distance between predicted and target representations, both [M, J, D].
 * @throws UserError that names the plugin where it does not give a scalar
 */
export function predictionLoss(loss: Brought<'loss'>, predicted: Tensor, target: Tensor): Scalar {
  if (predicted.shape.join() !== target.shape.join()) {
    throw new Error(`the loss expected predictions of [${target.shape}], received [${predicted.shape}]`);
  }
  return askForScalar(loss, () => loss.item.compute(tf, predicted, target));
}

/**
 * The term of pooled representations, [n, D].
 * @throws UserError that names the plugin where it does not give a scalar
 */
export function regularization(regularizer: Brought<'regularizer'>, pooled: Tensor, drawn: Drawn): Scalar {
  return askForScalar(regularizer, () => regularizer.item.compute(tf, pooled, drawn));
}

/**
 * The random numbers of a step, as tensors; the caller's to dispose.
 * @param width of the representations
 * @throws UserError that names the plugin where its numbers do not fit their shape
 */
export function drawNumbers(regularizer: Brought<'regularizer'>, seed: number, step: number, width: number): Drawn {
  const stream = new RandomStream(seed, 'regularizer', step);
  const numbers = ask(regularizer, () => regularizer.item.draw?.(stream, width) ?? {});
  const tensors = Object.entries(numbers).map(([name, { shape, values }]): [string, Tensor] => {
    const size = shape.reduce((product, side) => product * side, 1);
    if (values instanceof Float32Array && values.length === size) return [name, tf.tensor(values, [...shape])];
    throw failureOf(regularizer, `drew ${values?.length} numbers as '${name}' of shape [${shape}], not a Float32Array`);
  });
  return Object.fromEntries(tensors);
}

/** What a plugin gives; what it throws is told with its name. */
function ask<T>(brought: Brought, compute: () => T): T {
  try {
    return compute();
  } catch (error) {
    throw error instanceof UserError ? error : failureOf(brought, `failed: ${reasonInPlugin(error)}`, error);
  }
}

function askForScalar(brought: Brought, compute: () => Scalar): Scalar {
  const value: unknown = ask(brought, compute);
  if (value instanceof tf.Tensor && value.rank === 0 && value.dtype === 'float32') return value as Scalar;
  throw failureOf(brought, `gave ${describe(value)} instead of a scalar of tf`);
}

function describe(value: unknown): string {
  if (value instanceof tf.Tensor) return `a tensor of ${value.dtype}[${value.shape}]`;
  if (value instanceof Promise) return 'a promise';
  if (value === null || typeof value !== 'object') return String(value);
  return `an object of ${value.constructor?.name ?? 'no'} class`;
}
