import type { Engine } from '../engine/contract.js';
import { type Tensor, tf } from '../engine/tf.js';
import type { Optimiser } from './optimiser.js';
import { descend, type MomentumSettings, type MomentumStep, sgdStep, withDecay, withMomentum } from './sgd.js';

/** How strongly LARS trusts a layer's weights (You et al. 2017, section 5; VISSL's eta). */
export const LARS_TRUST = 0.001;

/**
 * Layer-wise adaptive rate scaling as VISSL's LARS has it, every row a layer of its own (letters as in `sgd.ts`):
 *
 *   d = g + λ w;  r = 0.001 ‖w‖ / ‖d‖;  v ← m v + r d;  w ← w - η v
 *
 * r is 1 where ‖w‖ or ‖d‖ is 0. What You et al. 2017 write divides by ‖g‖ + λ ‖w‖ and keeps η in the velocity, which
 * differs whenever η changes. Biases and norms are not adapted (VISSL's `exclude_bias_and_norm`): they take `sgdStep`.
 */
export const larsStep: MomentumStep = (moving, gradient, learningRates, weightDecays, settings) =>
  tf.tidy(() => {
    const direction = withDecay(moving, gradient, weightDecays); // [G, P]
    const [weightNorm, length] = [norms(moving.value), norms(direction)]; // [G, 1]
    const isUsable = weightNorm.greater(0).logicalAnd(length.greater(0));
    const ratio = weightNorm.mul(LARS_TRUST).div(tf.where(isUsable, length, tf.onesLike(length)));
    return descend(moving, direction.mul(tf.where(isUsable, ratio, tf.onesLike(ratio))), learningRates, settings);
  });

/** LARS of networks: matrices and kernels are adapted, biases and scales take SGD's steps. It keeps each parameter's velocity. */
export function lars(engine: Pick<Engine, 'compile'>, settings: MomentumSettings): Optimiser {
  return withMomentum(engine, 'lars', ({ length }) => (length > 1 ? larsStep : sgdStep), settings);
}

/** ‖x‖ of each row, [G, P] -> [G, 1] */
function norms(x: Tensor): Tensor {
  return x.square().sum(1, true).sqrt();
}
