import type { Engine } from '../engine/contract.js';
import { type Tensor, tf } from '../engine/tf.js';
import { alone, type Moving, type Optimiser, type OptimiserName, type PlainStep, plainUpdate } from './optimiser.js';

/*
 * Letters: w value, v velocity, g gradient; η learning rate, λ weight decay, m momentum. Values, velocities and gradients
 * are rows [G, P], each with a rate of its own, [G, 1], or one for all, []: a parameter of a network is one row of P
 * numbers, and heads that are trained side by side are G rows.
 */

export type MomentumSettings = { readonly momentum: number; readonly nesterov: boolean };

/** How strongly LARS trusts a layer's weights (You et al. 2017, section 5; VISSL's eta). */
const LARS_TRUST = 0.001;

/** @param weightDecays null for none */
export type MomentumStep = (
  moving: Moving,
  gradient: Tensor,
  learningRates: Tensor,
  weightDecays: Tensor | null,
  settings: MomentumSettings,
) => Moving;

/**
 * Stochastic gradient descent with momentum, as PyTorch's SGD defines it (dampening 0):
 *
 *   d = g + λ w;  v ← m v + d;  w ← w - η (d + m v) with Nesterov's momentum, w ← w - η v without
 *
 * PyTorch's velocity is d at the first step, which a velocity of zeros gives as well.
 */
export const sgdStep: MomentumStep = (moving, gradient, learningRates, weightDecays, settings) =>
  tf.tidy(() => descend(moving, withDecay(moving, gradient, weightDecays), learningRates, settings));

/**
 * Layer-wise adaptive rate scaling as VISSL's LARS has it, every row a layer of its own:
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

/** SGD of networks. It keeps each parameter's velocity. */
export function sgd(engine: Pick<Engine, 'compile'>, settings: MomentumSettings): Optimiser {
  return withMomentum(engine, 'sgd', () => sgdStep, settings);
}

/** LARS of networks: matrices and kernels are adapted, biases and scales take SGD's steps. It keeps each parameter's velocity. */
export function lars(engine: Pick<Engine, 'compile'>, settings: MomentumSettings): Optimiser {
  return withMomentum(engine, 'lars', ({ length }) => (length > 1 ? larsStep : sgdStep), settings);
}

/** d = g + λ w */
function withDecay({ value }: Moving, gradient: Tensor, weightDecays: Tensor | null): Tensor {
  return weightDecays ? gradient.add(value.mul(weightDecays)) : gradient;
}

/** The step along d. */
function descend(
  { value, velocity }: Moving,
  direction: Tensor,
  learningRates: Tensor,
  { momentum, nesterov }: MomentumSettings,
): Moving {
  const next = velocity.mul(momentum).add(direction);
  const step = nesterov ? direction.add(next.mul(momentum)) : next;
  return { value: value.sub(step.mul(learningRates)), velocity: next };
}

/**
 * An optimiser of networks by plain operations.
 * @param stepOf what moves a parameter of some shape
 */
function withMomentum(
  engine: Pick<Engine, 'compile'>,
  name: OptimiserName,
  stepOf: (shape: readonly number[]) => MomentumStep,
  settings: MomentumSettings,
): Optimiser {
  const move = ({ value, velocity, gradient, rates }: PlainStep<RateTensors>) => {
    const { shape } = value;
    const row = (x: Tensor) => x.reshape([1, x.size]);
    const rows = { value: row(value), velocity: row(velocity) };
    const moved = stepOf(shape)(rows, row(gradient), rates.learningRate, rates.weightDecay, settings);
    return { value: moved.value.reshape(shape), velocity: moved.velocity.reshape(shape) };
  };
  const update = plainUpdate(engine, (parameters: readonly PlainStep<RateTensors>[]) => parameters.map(move));
  return {
    name,
    slotNames: ['velocity'],
    groups: alone,
    async update([
      {
        value,
        slots,
        averages,
        gradient,
        rates: { learningRate, weightDecay, emaDecays },
      },
    ]) {
      const rates = { learningRate: tf.scalar(learningRate), weightDecay: tf.scalar(weightDecay) };
      const given = { value, velocity: slots.velocity, averages, gradient, rates };
      const [{ velocity, ...next }] = await update([given], [emaDecays]);
      return [{ ...next, slots: { velocity } }];
    },
  };
}

type RateTensors = { learningRate: Tensor; weightDecay: Tensor };

/** ‖x‖ of each row, [G, P] -> [G, 1] */
function norms(x: Tensor): Tensor {
  return x.square().sum(1, true).sqrt();
}
