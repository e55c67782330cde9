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

export type OptimiserSettings = Pick<ProbeProtocol, 'optimiser' | 'momentum' | 'nesterov'>;

/** How strongly LARS trusts a layer's weights (You et al. 2017, section 5). */
export const LARS_TRUST = 0.001;

/**
 * Stochastic gradient descent with momentum, as PyTorch's SGD defines it (dampening 0):
 *
 *   d = g + λ w;  v ← m v + d;  w ← w - η (d + m v) with Nesterov's momentum, w ← w - η v without
 *
 * PyTorch's velocity is d at the first step, which a velocity of zeros gives as well.
 */
export function sgdStep(
  { value, velocity }: Moving,
  gradient: Tensor,
  learningRates: Tensor,
  weightDecays: Tensor | null,
  { momentum, nesterov }: OptimiserSettings,
): Moving {
  return tf.tidy(() => {
    const decayed = weightDecays ? gradient.add(value.mul(weightDecays)) : gradient;
    const moved = velocity.mul(momentum).add(decayed);
    const direction = nesterov ? decayed.add(moved.mul(momentum)) : moved;
    return { value: value.sub(direction.mul(learningRates)), velocity: moved };
  });
}

/**
 * Layer-wise adaptive rate scaling (You et al. 2017, algorithm 1), every head's tensor a layer of its own:
 *
 *   r = 0.001 ‖w‖ / (‖g‖ + λ ‖w‖);  v ← m v + η r (g + λ w);  w ← w - v
 *
 * r is 1 where ‖w‖ or the denominator is 0. Nesterov's momentum is no part of it.
 */
export function larsStep(
  { value, velocity }: Moving,
  gradient: Tensor,
  learningRates: Tensor,
  weightDecays: Tensor,
  { momentum }: OptimiserSettings,
): Moving {
  return tf.tidy(() => {
    const weightNorm = norms(value); // [G, 1]
    const scale = norms(gradient).add(weightNorm.mul(weightDecays)); // [G, 1]
    const isUsable = weightNorm.greater(0).logicalAnd(scale.greater(0));
    const ratio = weightNorm.mul(LARS_TRUST).div(tf.where(isUsable, scale, tf.onesLike(scale)));
    const rates = tf.where(isUsable, ratio, tf.onesLike(ratio)).mul(learningRates); // [G, 1]
    const moved = velocity.mul(momentum).add(gradient.add(value.mul(weightDecays)).mul(rates));
    return { value: value.sub(moved), velocity: moved };
  });
}

/** LARS for biases, which it neither decays nor adapts: v ← m v + η g;  w ← w - v */
export function larsBiasStep(
  { value, velocity }: Moving,
  gradient: Tensor,
  learningRates: Tensor,
  { momentum }: OptimiserSettings,
): Moving {
  return tf.tidy(() => {
    const moved = velocity.mul(momentum).add(gradient.mul(learningRates));
    return { value: value.sub(moved), velocity: moved };
  });
}

/** ‖x‖ of each row, [G, P] -> [G, 1] */
function norms(x: Tensor): Tensor {
  return x.square().sum(1, true).sqrt();
}
