import { type Tensor, tf } from '../engine/tf.js';
import type { ProbeProtocol } from '../plugin.js';

/*
 * Optimisers of heads that are trained side by side.
 *
 * Letters: G heads, P parameters of one head's tensor; w value, v velocity, g gradient; η learning rate, λ weight decay,
 * m momentum. Values, velocities and gradients are [G, P]; η and λ are [G, 1], one for each head.
 */

/** A tensor of each head, and the velocity with which it moves. */
export type Moving = { value: Tensor; velocity: Tensor };

export type OptimiserSettings = Pick<ProbeProtocol, 'optimiser' | 'momentum' | 'nesterov' | 'decorrelated'>;

/** How strongly LARS trusts a layer's weights (You et al. 2017, section 5; VISSL's eta). */
export const LARS_TRUST = 0.001;

/**
 * Stochastic gradient descent with momentum, as PyTorch's SGD defines it (dampening 0):
 *
 *   d = g + λ w;  v ← m v + d;  w ← w - η (d + m v) with Nesterov's momentum, w ← w - η v without
 *
 * PyTorch's velocity is d at the first step, which a velocity of zeros gives as well.
 */
export function sgdStep(
  moving: Moving,
  gradient: Tensor,
  learningRates: Tensor,
  weightDecays: Tensor | null,
  settings: OptimiserSettings,
): Moving {
  return tf.tidy(() => moved(moving, decayed(moving, gradient, weightDecays), learningRates, settings));
}

/**
 * Layer-wise adaptive rate scaling as VISSL's LARS has it, every head's tensor a layer of its own:
 *
 *   d = g + λ w;  r = 0.001 ‖w‖ / ‖d‖;  v ← m v + r d;  w ← w - η v
 *
 * r is 1 where ‖w‖ or ‖d‖ is 0. What You et al. 2017 write divides by ‖g‖ + λ ‖w‖ and keeps η in the velocity, which
 * differs whenever η changes. Biases and batch norm are not adapted (VISSL's `exclude_bias_and_norm`): they take
 * `sgdStep`.
 */
export function larsStep(
  moving: Moving,
  gradient: Tensor,
  learningRates: Tensor,
  weightDecays: Tensor | null,
  settings: OptimiserSettings,
): Moving {
  return tf.tidy(() => {
    const direction = decayed(moving, gradient, weightDecays); // [G, P]
    const [weightNorm, length] = [norms(moving.value), norms(direction)]; // [G, 1]
    const isUsable = weightNorm.greater(0).logicalAnd(length.greater(0));
    const ratio = weightNorm.mul(LARS_TRUST).div(tf.where(isUsable, length, tf.onesLike(length)));
    return moved(moving, direction.mul(tf.where(isUsable, ratio, tf.onesLike(ratio))), learningRates, settings);
  });
}

function decayed({ value }: Moving, gradient: Tensor, weightDecays: Tensor | null): Tensor {
  return weightDecays ? gradient.add(value.mul(weightDecays)) : gradient;
}

function moved(
  { value, velocity }: Moving,
  direction: Tensor,
  learningRates: Tensor,
  { momentum, nesterov }: OptimiserSettings,
): Moving {
  const next = velocity.mul(momentum).add(direction);
  const step = nesterov ? direction.add(next.mul(momentum)) : next;
  return { value: value.sub(step.mul(learningRates)), velocity: next };
}

/** ‖x‖ of each row, [G, P] -> [G, 1] */
function norms(x: Tensor): Tensor {
  return x.square().sum(1, true).sqrt();
}
