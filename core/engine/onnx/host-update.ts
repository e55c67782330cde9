import type { Engine } from '../contract.js';
import type { OnnxBackend } from './backend.js';
import { makeAdder, UpdateMemory } from './update-memory.js';

/**
 * The update in one pass over memory, in place and on the host: it reads and writes each number once, where a graph would
 * read and write it some twenty times and give new arrays for all. Sums are made in the first tensor's memory.
 */
export function updatesOnHost(backend: OnnxBackend): Pick<Engine, 'updateParameter' | 'accumulate'> {
  const memory = new UpdateMemory();
  const add = makeAdder();
  return {
    async updateParameter(slot, gradient, rates, { beta1, beta2, epsilon }) {
      const grad = (await backend.read(gradient.dataId)) as Float32Array;
      const arrays = Object.values(slot).map((tensor) => backend.recorded(tensor).data as Float32Array);
      const arena = memory.arenaFor(arrays);
      const value = backend.ownData(slot.value, arena);
      const first = backend.ownData(slot.first, arena);
      const second = backend.ownData(slot.second, arena);
      const target = slot.target && backend.ownData(slot.target, arena);
      const { decayFactor, stepSize, sqrtBiasCorrection2, emaDecay } = rates;
      const squares = arena.update(
        { value: value.data, first: first.data, second: second.data, target: target?.data },
        grad,
        {
          beta1,
          oneMinusBeta1: 1 - beta1,
          beta2,
          oneMinusBeta2: 1 - beta2,
          decayFactor,
          stepSize,
          inverseSqrtBiasCorrection2: 1 / sqrtBiasCorrection2,
          epsilon,
          emaDecay,
          oneMinusEmaDecay: 1 - emaDecay,
        },
      );
      const updated = { value: value.tensor, first: first.tensor, second: second.tensor };
      return { slot: target ? { ...updated, target: target.tensor } : updated, squares };
    },
    async accumulate(sum, addend) {
      await backend.read(sum.dataId);
      const added = (await backend.read(addend.dataId)) as Float32Array;
      const { tensor, data } = backend.ownData(sum);
      add(data, added);
      addend.dispose();
      return tensor;
    },
  };
}
