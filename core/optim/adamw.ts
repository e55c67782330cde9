import { tf } from '../engine/tf.js';
import type { AdamSettings, UpdateRates } from '../engine/update.js';
import type { Parameters } from '../nn/parameters.js';
import type { StepRates } from '../train/step.js';

/** Moments of the gradients, by parameter name. */
export type AdamState = {
  /** Moving average of the gradients. */
  first: Parameters;
  /** Moving average of their squares. */
  second: Parameters;
};

/** Moments before the first step. */
export function initialAdamState(parameters: Parameters): AdamState {
  const zeros = () =>
    Object.fromEntries(Object.entries(parameters).map(([name, tensor]) => [name, tf.zeros(tensor.shape)]));
  return { first: zeros(), second: zeros() };
}

/**
 * The numbers with which step t is taken.
 * @param step t, counted from 1
 */
export function updateRates(step: number, { beta1, beta2 }: AdamSettings, rates: StepRates): UpdateRates {
  return {
    keep: 1 - rates.learningRate * rates.weightDecay,
    stepSize: rates.learningRate / (1 - beta1 ** step),
    rootCorrection: Math.sqrt(1 - beta2 ** step),
    momentum: rates.momentum,
  };
}
