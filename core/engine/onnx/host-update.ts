import type { Tensor } from '../tf.js';
import { isDecayed, type UpdateParameter } from '../update.js';
import { Adder } from './adder.js';
import type { OnnxBackend } from './backend.js';
import { UpdateMemory } from './update-memory.js';

/**
 * The update in one pass over memory, in place and on the host: it reads and writes each number once, where a graph would
 * read and write it some twenty times and give new arrays for all.
 */
export function updateOnHost(backend: OnnxBackend): UpdateParameter {
  const memory = new UpdateMemory();
  return async (slot, gradient, rates, { beta1, beta2, epsilon }) => {
    const grad = (await backend.read(gradient.dataId)) as Float32Array;
    const tensors = Object.values(slot).map((tensor) => backend.recorded(tensor).data as Float32Array);
    const arena = memory.arenaFor(tensors);
    const value = backend.ownData(slot.value, arena);
    const first = backend.ownData(slot.first, arena);
    const second = backend.ownData(slot.second, arena);
    const target = slot.target && backend.ownData(slot.target, arena);
    const squares = memory.update(
      { value: value.data, first: first.data, second: second.data, target: target?.data },
      grad,
      {
        beta1,
        restOfBeta1: 1 - beta1,
        beta2,
        restOfBeta2: 1 - beta2,
        keep: isDecayed(slot.value) ? rates.keep : 1,
        stepSize: rates.stepSize,
        inverseCorrection: 1 / rates.rootCorrection,
        epsilon,
        momentum: rates.momentum,
        restOfMomentum: 1 - rates.momentum,
      },
    );
    const updated = { value: value.tensor, first: first.tensor, second: second.tensor };
    return { slot: target ? { ...updated, target: target.tensor } : updated, squares };
  };
}

/** The sum in place, in the first tensor's memory. */
export function accumulateOnHost(backend: OnnxBackend): (sum: Tensor, addend: Tensor) => Promise<Tensor> {
  const adder = new Adder();
  return async (sum, addend) => {
    await backend.read(sum.dataId);
    const added = (await backend.read(addend.dataId)) as Float32Array;
    const { tensor, data } = backend.ownData(sum);
    adder.add(data, added);
    addend.dispose();
    return tensor;
  };
}
