import type { Tensor } from '../tf.js';
import { isDecayed, type UpdateParameter } from '../update.js';
import type { OnnxBackend } from './backend.js';

/**
 * The update in one pass over memory, in place and on the host: it reads and writes each number once, where a graph would
 * read and write it some twenty times and give new arrays for all. Sums and products are in double precision.
 */
export function updateOnHost(backend: OnnxBackend): UpdateParameter {
  return async (slot, gradient, rates, { beta1, beta2, epsilon }) => {
    const g = (await backend.read(gradient.dataId)) as Float32Array;
    const own = {
      value: backend.ownData(slot.value),
      first: backend.ownData(slot.first),
      second: backend.ownData(slot.second),
      ...(slot.target && { target: backend.ownData(slot.target) }),
    };
    const [value, first, second] = [own.value.data, own.first.data, own.second.data];
    const target = own.target?.data;
    const { stepSize, momentum } = rates;
    const keep = isDecayed(slot.value) ? rates.keep : 1;
    const inverseCorrection = 1 / rates.rootCorrection;
    let squares = 0;
    for (let i = 0; i < g.length; i++) {
      const slope = g[i] as number;
      const m = beta1 * (first[i] as number) + (1 - beta1) * slope;
      const v = beta2 * (second[i] as number) + (1 - beta2) * slope * slope;
      const moved = Math.fround(
        keep * (value[i] as number) - (stepSize * m) / (Math.sqrt(v) * inverseCorrection + epsilon),
      );
      first[i] = m;
      second[i] = v;
      value[i] = moved;
      squares += moved * moved;
      if (target) target[i] = momentum * (target[i] as number) + (1 - momentum) * moved;
    }
    const updated = {
      value: own.value.tensor,
      first: own.first.tensor,
      second: own.second.tensor,
      ...(own.target && { target: own.target.tensor }),
    };
    return { slot: updated, squares };
  };
}

/** The sum in place, in the first tensor's memory. */
export function accumulateOnHost(backend: OnnxBackend): (sum: Tensor, addend: Tensor) => Promise<Tensor> {
  return async (sum, addend) => {
    await backend.read(sum.dataId);
    const added = (await backend.read(addend.dataId)) as Float32Array;
    const { tensor, data } = backend.ownData(sum);
    for (let i = 0; i < data.length; i++) data[i] = (data[i] as number) + (added[i] as number);
    addend.dispose();
    return tensor;
  };
}
