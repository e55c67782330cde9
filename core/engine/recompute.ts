import { after } from './functions.js';
import { type Tensor, tf } from './tf.js';

/*
 * Gradient checkpointing (Chen et al. 2016): what is recomputed keeps its inputs alone for the gradient, and is computed a
 * second time, by the same operations, when its gradient is taken.
 */

let isRecomputing = false;

/** Calls a function; whatever is `recomputable` in it is recomputed, or is not. */
export function recomputing<Result>(recompute: boolean, call: () => Result): Result {
  const before = isRecomputing;
  isRecomputing = recompute;
  try {
    return call();
  } finally {
    isRecomputing = before;
  }
}

/**
 * A function's value, which is recomputed for the gradient where `recomputing` says so. Without a gradient it is computed
 * once all the same.
 * @param inputs all tensors that the function depends on, each of which takes part in its value
 */
export function recomputable(inputs: Tensor[], compute: (...inputs: Tensor[]) => Tensor): Tensor {
  if (!isRecomputing) return compute(...inputs);
  return tf.customGrad((...args) => {
    (args.at(-1) as (tensors: Tensor[]) => void)(inputs);
    return {
      value: compute(...inputs),
      gradFunc: (dy, saved) => tf.tidy(() => gradientsOnceMore(dy, saved, compute)),
    };
  })(...inputs);
}

/**
 * Engines that plan a whole graph may compute in any order that its values allow. So the second computation waits for dy,
 * and the gradient that goes on to earlier functions for those of all inputs: one function is recomputed at a time.
 */
function gradientsOnceMore(dy: Tensor, saved: Tensor[], compute: (...inputs: Tensor[]) => Tensor): Tensor[] {
  const [x, ...others] = saved as [Tensor, ...Tensor[]];
  const { state } = tf.engine();
  const { activeTape } = state; // that of the gradients which are being taken: TensorFlow.js has one for all
  const [dx, ...rest] = tf.grads(compute)([after(x, [dy]), ...others], dy) as [Tensor, ...Tensor[]];
  state.activeTape = activeTape;
  return [after(dx, rest), ...rest];
}
