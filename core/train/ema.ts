import { type Tensor, tf } from '../engine/tf.js';
import type { Parameters } from '../model/parameters.js';

/**
 * The target encoder's update: θ̄ ← m θ̄ + (1 - m) θ (paper, section 3). New tensors; the old ones stay the caller's.
 */
export function movingAverage(average: Parameters, current: Parameters, momentum: number): Parameters {
  return Object.fromEntries(
    Object.entries(average).map(([name, old]) => [
      name,
      tf.tidy(() => old.mul(momentum).add((current[name] as Tensor).mul(1 - momentum))),
    ]),
  );
}
