import { mapValues } from '../base/map-values.js';
import { RandomStream } from '../base/random.js';
import { type Scalar, type Tensor, tf } from '../engine/tf.js';
import { drawnTensors } from '../methods/batch.js';
import type { Method, Networks, Tensors } from '../methods/method.js';
import { isRunning } from '../nn/batch-norm.js';
import { initialValue, type Parameters } from '../nn/parameters.js';

/** Everything that a step changes. */
export type TrainState = {
  /** Steps done. */
  step: number;
  networks: Networks;
  /** What the optimiser keeps of each trained parameter, by name: { first, second }. */
  slots: Readonly<Record<string, Networks>>;
  /** The method's own. */
  own: Tensors;
};

/** The shapes of a state. */
export type StateShapes = ReturnType<typeof stateShapes>;

export function stateShapes({ networks: specs, state }: Method, slotNames: readonly string[]) {
  const networks = mapValues(specs, ({ shapes }) => shapes);
  const trained = trainedOf({ networks: specs }, networks);
  return {
    networks,
    slots: Object.fromEntries(slotNames.map((slot) => [slot, trained])),
    own: mapValues(state?.initial ?? {}, ({ shape }) => shape),
  };
}

/**
 * The state before the first step.
 * @param networks the weights from which training starts, which are used up; default: fresh ones
 */
export function initialState(
  method: Method,
  slotNames: readonly string[],
  seed: number,
  networks: Networks = initialNetworks(method, seed),
): TrainState {
  return {
    step: 0,
    networks,
    slots: Object.fromEntries(
      slotNames.map((slot) => [slot, mapNetworks(trainedOf(method, networks), ({ shape }) => tf.zeros(shape))]),
    ),
    own: drawnTensors(method.state?.initial ?? {}),
  };
}

/**
 * Fresh weights, in the order of the networks, which a checkpoint keeps: each network draws from a stream of its own; moving
 * averages start as copies.
 */
export function initialNetworks({ networks }: Pick<Method, 'networks'>, seed: number): Networks {
  const made: Record<string, Parameters> = {};
  for (const [name, { shapes, role, init = initialValue }] of Object.entries(networks)) {
    if (role.by === 'ema') continue;
    const stream = new RandomStream(seed, `init/${name}`);
    made[name] = mapValues(shapes, (shape, parameter) => tf.tensor(init(parameter, shape, stream), [...shape]));
  }
  for (const [name, { shapes, role }] of Object.entries(networks)) {
    if (role.by !== 'ema') continue;
    const followed = made[role.of];
    made[name] = mapValues(shapes, (_, parameter) => followed[parameter].clone());
  }
  return mapValues(networks, (_, name) => made[name]);
}

/** The networks that gradients reach, without running statistics. */
export function trainedOf<Value>(
  { networks: specs }: Pick<Method, 'networks'>,
  networks: Readonly<Record<string, Readonly<Record<string, Value>>>>,
): Record<string, Readonly<Record<string, Value>>> {
  const trained = Object.entries(networks).filter(([name]) => specs[name]?.role.by === 'gradient');
  return Object.fromEntries(trained.map(([name, parameters]) => [name, withoutRunning(parameters)]));
}

function withoutRunning<Value>(parameters: Readonly<Record<string, Value>>): Record<string, Value> {
  return Object.fromEntries(Object.entries(parameters).filter(([name]) => !isRunning(name)));
}

/** Every tensor of some networks by network and name, in the networks' order. */
export function* tensorsOf(networks: Networks): Generator<[network: string, name: string, tensor: Tensor]> {
  for (const [network, parameters] of Object.entries(networks)) {
    for (const [name, tensor] of Object.entries(parameters)) yield [network, name, tensor];
  }
}

/** Networks, or other groups of tensors, with a tensor made of each. */
export function mapNetworks<Groups extends Networks>(networks: Groups, make: (tensor: Tensor) => Tensor): Groups {
  return mapValues(networks, (parameters) => mapValues(parameters, make)) as Groups;
}

/** Value of a scalar function of networks, and its gradients. */
export function differentiate(networks: Networks, compute: (networks: Networks) => Scalar) {
  const inputs = Object.values(networks).flatMap((parameters) => Object.values(parameters));
  const named = (tensors: readonly Tensor[]): Networks => {
    let at = 0;
    return mapNetworks(networks, () => tensors[at++]);
  };
  const { value, grads } = tf.valueAndGrads((...tensors: Tensor[]) => compute(named(tensors)))(inputs);
  return { value: value as Scalar, gradients: named(grads) };
}
