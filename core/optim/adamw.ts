import type { AdamSettings, Engine } from '../engine/contract.js';
import { type Tensor, tf } from '../engine/tf.js';
import { alone, emaWeights, movingAverage, type Optimiser } from './optimiser.js';

/**
 * Adam with decoupled weight decay (Loshchilov and Hutter 2019, algorithm 2; PyTorch's AdamW), with the engine's own
 * kernel, which moves the first moving average in the same pass. It keeps the averages m of gradients and v of their
 * squares, `first` and `second`.
 */
export function adamw(engine: Pick<Engine, 'updateParameter' | 'compile'>, settings: AdamSettings): Optimiser {
  const { beta1, beta2 } = settings;
  const follow = engine.compile((...given: Parameters<typeof movingAverage>) => tf.tidy(() => movingAverage(...given)));
  return {
    name: 'adamw',
    slotNames: ['first', 'second'],
    groups: alone,
    async update([{ value, slots, averages, gradient, rates }]) {
      const { step, learningRate, weightDecay, emaDecays } = rates;
      const [target, ...others] = averages;
      const { first, second } = slots as { first: Tensor; second: Tensor };
      const { slot, squares } = await engine.updateParameter(
        { value, first, second, ...(target && { target }) },
        gradient,
        {
          decayFactor: 1 - learningRate * weightDecay,
          stepSize: learningRate / (1 - beta1 ** step),
          sqrtBiasCorrection2: Math.sqrt(1 - beta2 ** step),
          emaDecay: emaDecays[0] ?? 1,
        },
        settings,
      );
      const moved = slot.target ? [slot.target] : [];
      for (const [at, average] of others.entries()) {
        const weights = emaWeights(emaDecays[at + 1]);
        moved.push(await follow(average, slot.value, weights));
        tf.dispose([average, weights]);
      }
      return [{ value: slot.value, slots: { first: slot.first, second: slot.second }, averages: moved, squares }];
    },
  };
}
