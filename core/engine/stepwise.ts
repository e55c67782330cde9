import { type Engine, oneByOne } from './contract.js';
import { tf } from './tf.js';

/** How engines of TensorFlow.js compute: at once, one part after the other, updates and sums by plain operations. */
export const stepwise: Pick<Engine, 'compile' | 'concurrency' | 'compileParts' | 'updateParameter' | 'accumulate'> = {
  compile:
    (fn) =>
    async (...inputs) =>
      fn(...inputs),
  concurrency: 1,
  compileParts: oneByOne,
  async updateParameter(slot, gradient, rates, { beta1, beta2, epsilon }) {
    const { decayFactor, stepSize, sqrtBiasCorrection2, emaDecay } = rates;
    const { updated, sum } = tf.tidy(() => {
      const m = slot.first.mul(beta1).add(gradient.mul(1 - beta1));
      const v = slot.second.mul(beta2).add(gradient.square().mul(1 - beta2));
      const direction = m.div(v.sqrt().div(sqrtBiasCorrection2).add(epsilon));
      const value = slot.value.mul(decayFactor).sub(direction.mul(stepSize));
      const target = slot.target?.mul(emaDecay).add(value.mul(1 - emaDecay));
      return {
        updated: { value, first: m, second: v, ...(target && { target }) },
        sum: value.square().sum(),
      };
    });
    tf.dispose(slot);
    const squares = (await sum.data())[0] as number;
    sum.dispose();
    return { slot: updated, squares };
  },
  async accumulate(sum, addend) {
    const added = sum.add(addend);
    tf.dispose([sum, addend]);
    return added;
  },
};
