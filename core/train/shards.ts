import { mapValues } from '../base/map-values.js';
import type { Wire } from '../base/wire.js';
import type { Options } from '../config/schema.js';
import { type Tensor, tf } from '../engine/tf.js';
import type { Method, Networks } from '../methods/method.js';
import { lengthOf } from '../nn/parameters.js';
import { bytesOf } from './communicator/arrays.js';
import type { Communicator } from './communicator/communicator.js';
import { gatherJson } from './communicator/ranks.js';
import { type TrainState, trainedOf } from './state.js';
import { followersOf } from './update.js';

/** A parameter by its network and name. */
type Parameter = readonly [network: string, name: string];

export type Shards = ReturnType<typeof shardsOf>;

/** How ranks share what the optimiser keeps, where that is asked for; null where each keeps all. */
export function askedShards({ shardOptimiser }: Pick<Options, 'shardOptimiser'>, method: Method, ranks: Communicator) {
  return shardOptimiser && ranks.size > 1 ? shardsOf(method, ranks) : null;
}

/**
 * Shares what the optimiser keeps among the ranks (ZeRO, stage 1: Rajbhandari et al. 2020): each parameter belongs to one,
 * which alone sums its gradient, keeps its moments, updates it, and gives the new value to the others. The bits are those
 * of a run in which every rank keeps all.
 */
export function shardsOf(method: Pick<Method, 'networks'>, communicator: Communicator) {
  const { rank, size } = communicator;
  const trained = trainedOf(
    method,
    mapValues(method.networks, ({ shapes }) => shapes),
  );
  const parameters = Object.entries(trained).flatMap(([network, shapes]) =>
    Object.entries(shapes).map(([name, shape]) => ({ parameter: [network, name] as const, length: lengthOf(shape) })),
  );
  const total = parameters.reduce((sum, { length }) => sum + length, 0);
  const owned: Parameter[][] = Array.from({ length: size }, () => []);
  let start = 0;
  for (const { parameter, length } of parameters) {
    owned[Math.min(size - 1, Math.floor(((start + length / 2) / total) * size))].push(parameter);
    start += length;
  }
  const own = new Set(owned[rank].map(([network, name]) => keyOf(network, name)));
  const isOwn = (network: string, name: string) => own.has(keyOf(network, name));
  /** Networks whose parameter of the same name is updated with one. */
  const updatedWith = ([network, name]: Parameter): Parameter[] => [
    [network, name],
    ...followersOf(method, network)
      .filter((follower) => method.networks[follower.name].shapes[name])
      .map((follower) => [follower.name, name] as const),
  ];

  return {
    /** Sums gradients over ranks; those of this rank's parameters are given, and all are used up. */
    async sum(gradients: Networks, wire: Wire): Promise<Networks> {
      const tensors = parameters.map(({ parameter: [network, name] }) => gradients[network][name]);
      const arrays = (await Promise.all(tensors.map((tensor) => tensor.data()))) as Float32Array[];
      const counts = owned.map(({ length }) => length);
      const sums = await communicator.sumOwn(arrays, counts, wire);
      tf.dispose(tensors);
      const summed: Record<string, Record<string, Tensor>> = mapValues(trained, () => ({}));
      for (const [at, [network, name]] of owned[rank].entries())
        summed[network][name] = tf.tensor(sums[at], [...trained[network][name]]);
      return summed;
    },

    /** The norm over all ranks' parameters. */
    async norm(own: number): Promise<number> {
      const norms = await gatherJson(communicator, Number.isFinite(own) ? own : null); // JSON has no NaN
      return Math.hypot(...norms.map((norm) => norm ?? Number.NaN));
    },

    /** Networks with the new values of all ranks' parameters; the old ones are disposed of. */
    async share(networks: Networks): Promise<Networks> {
      const updated = owned.map((parameters) => parameters.flatMap(updatedWith));
      const arrays = await Promise.all(updated[rank].map(([network, name]) => networks[network][name].data()));
      const lengths = updated.map((all) => all.map(([network, name]) => lengthOf(networks[network][name].shape)));
      const counts = lengths.map((all) => all.reduce((sum, length) => sum + length, 0));
      const shared = await communicator.share(arrays as Float32Array[], counts);
      const next: Record<string, Record<string, Tensor>> = mapValues(networks, (all) => ({ ...all }));
      for (const [owner, numbers] of shared.entries()) {
        let start = 0;
        for (const [at, [network, name]] of owner === rank ? [] : updated[owner].entries()) {
          const { shape } = networks[network][name];
          networks[network][name].dispose(); // its memory has the new values
          next[network][name] = tf.tensor(numbers.subarray(start, start + lengths[owner][at]), shape);
          start += lengths[owner][at];
        }
      }
      return next;
    },

    /** A state without what other ranks keep, which is disposed of. */
    keepOwn(state: TrainState): TrainState {
      const slots = mapValues(state.slots, (networks) =>
        mapValues(networks, (all, network) => {
          const entries = Object.entries(all);
          tf.dispose(entries.filter(([name]) => !isOwn(network, name)).map(([, tensor]) => tensor));
          return Object.fromEntries(entries.filter(([name]) => isOwn(network, name)));
        }),
      );
      return { ...state, slots };
    },

    /** The whole state, on rank 0, which disposes of `received` when it is saved; on the others what they have. */
    async whole(state: TrainState): Promise<{ state: TrainState; received: Tensor[] }> {
      const received: Tensor[] = [];
      const slots: Record<string, Networks> = {};
      for (const [slot, networks] of Object.entries(state.slots)) {
        const others = new Map<string, Tensor>();
        for (const [owner, parameters] of owned.entries()) {
          for (const [network, name] of owner === 0 ? [] : parameters) {
            const shape = [...trained[network][name]];
            const own = owner === rank ? bytesOf(await networks[network][name].data()) : null;
            const bytes = await communicator.toFirst(own, owner, 4 * lengthOf(shape));
            if (rank > 0) continue;
            const tensor = tf.tensor(new Float32Array(bytes.buffer, bytes.byteOffset, lengthOf(shape)), shape);
            others.set(keyOf(network, name), tensor);
            received.push(tensor);
          }
        }
        const whole = (network: string, name: string) =>
          networks[network][name] ?? (others.get(keyOf(network, name)) as Tensor);
        const inOrder = () =>
          mapValues(trained, (shapes, network) => mapValues(shapes, (_, name) => whole(network, name)));
        slots[slot] = rank === 0 ? inOrder() : networks;
      }
      return { state: { ...state, slots }, received };
    },
  };
}

function keyOf(network: string, name: string): string {
  return `${network}/${name}`;
}
