import { mapValues } from '../base/map-values.js';
import type { Wire } from '../base/wire.js';
import type { Engine } from '../engine/contract.js';
import { type Scalar, type Tensor, tf } from '../engine/tf.js';
import type { Method, Networks, Tensors } from '../methods/method.js';
import { nextRunning, runningOf } from '../nn/batch-norm.js';
import type { Optimiser } from '../optim/optimiser.js';
import { type Communicator, LOCAL } from './communicator/communicator.js';
import { gatherTensors, rowsOf, sumOf, sumTensors } from './communicator/tensors.js';
import { type Gradients, prepareGradients, usableConcurrency } from './gradients.js';
import { splitBatch, type TrainBatch } from './parts.js';
import type { Shards } from './shards.js';
import { type TrainState, tensorsOf } from './state.js';
import { type StepRates, updateNetworks } from './update.js';

/** What a step says of itself. */
export interface StepNumbers {
  /** The weighted sum of all terms. */
  readonly loss: number;
  /** Each term without its weight, by name. */
  readonly terms: Readonly<Record<string, number>>;
  /** What the method logs, by name. */
  readonly logs: Readonly<Record<string, number>>;
  /** Norm of all gradients together. */
  gradientNorm: number;
}

/** Of a step whose loss, gradients or weights are not finite numbers. */
export class NotFinite extends Error {
  override readonly name = 'NotFinite';
  constructor(
    readonly step: number,
    readonly numbers: StepNumbers & { weightNorm?: number },
  ) {
    super(`step ${step} did not give finite numbers`);
  }
}

/**
 * One training step. The given state is disposed of; the next one is the caller's.
 *
 * Throws NotFinite. Where loss or gradients are to blame, the given state is still whole.
 */
export type TrainStep = (
  state: TrainState,
  batch: TrainBatch,
  rates: StepRates,
) => Promise<{ state: TrainState; weightNorm: number } & StepNumbers>;

export interface StepSettings {
  /** Sides of the views' images in pixels, by name. */
  readonly sides: Readonly<Record<string, number>>;
  /** Images computed at once; the gradients of a larger batch are accumulated, with the same result. */
  readonly microBatchSize: number;
  /** Whether blocks are computed once more for their gradients, with the same result; default not. */
  readonly recompute?: boolean;
  /** Fixes what terms draw. */
  readonly seed: number;
  /** What gradients travel as between ranks; default float32. */
  readonly wire?: Wire;
  /** How ranks share what the optimiser keeps; null where each keeps all, the default. */
  readonly shards?: Shards | null;
}

/** Prepares the training step of a method for an engine. */
export function prepareStep(
  engine: Engine,
  method: Method,
  optimiser: Optimiser,
  { sides, microBatchSize, recompute, seed, wire = 'float32', shards = null }: StepSettings,
  communicator: Communicator = LOCAL,
): TrainStep {
  const concurrency = Math.min(usableConcurrency(engine, method), microBatchSize);
  const gradientsOf = prepareGradients(engine, method, seed, concurrency, recompute, communicator);
  const summarise = engine.compile((computed: Gradients) => summary(method, computed));
  const nextOwn = prepareNextState(engine, method);
  const withRunning = prepareRunning(engine);
  return async (state, batch, rates) => {
    const step = state.step + 1;
    const context = { state: state.own, rates: scalarsOf(method, rates) };
    const parts = splitBatch(method.views, sides, batch, context, microBatchSize, concurrency);
    const own = await gradientsOf(state.networks, parts, step);
    const gradients = await sumGradients(communicator, own.gradients, wire, shards);
    const computed = { ...(await overAllRanks(communicator, own)), gradients };
    tf.dispose(parts.map(({ state: _, ...own }) => own));
    const numbers = await readNumbers(await summarise(computed));
    if (shards) numbers.gradientNorm = await shards.norm(numbers.gradientNorm);
    requireFinite(step, numbers, computed);

    const { weightNorm: ownNorm, ...updated } = await updateNetworks(method, optimiser, state, gradients, rates);
    const weightNorm = shards ? await shards.norm(ownNorm) : ownNorm;
    const shared = shards ? await shards.share(updated.networks) : updated.networks;
    const networks = await withRunning(shared, computed.seen);
    const next = { step, ...updated, networks, own: await nextOwn(state.own, computed.statistics) };
    tf.dispose(computed);
    requireFinite(step, { ...numbers, weightNorm }, next);
    return { state: next, ...numbers, weightNorm };
  };
}

/** The gradients of the batch, or those of the parameters that this rank updates; what it has of them is used up. */
async function sumGradients(communicator: Communicator, own: Networks, wire: Wire, shards: Shards | null) {
  if (communicator.size === 1) return own;
  return shards ? shards.sum(own, wire) : sumTensors(communicator, own, wire);
}

/** What the batch comes to over all ranks beside its gradients; what this rank has of it is used up. */
async function overAllRanks(communicator: Communicator, own: Gradients): Promise<Omit<Gradients, 'gradients'>> {
  if (communicator.size === 1) return own;
  const { loss, terms, statistics, seen, rows } = own;
  const groups = { loss: { loss }, terms, statistics, seen, rows };
  const named = Object.entries(groups).flatMap(([group, all]) =>
    Object.entries(all).map(([name, tensor]) => [`${group} ${name}`, tensor] as const),
  );
  const gathered = await gatherTensors(communicator, Object.fromEntries(named));
  const of = <Group extends Tensors>(group: string, all: Group, join: typeof sumOf) =>
    mapValues(all, (_, name) => join(gathered[`${group} ${name}`])) as Group;
  const result = {
    loss: of('loss', { loss }, sumOf).loss,
    terms: of('terms', terms, sumOf) as Gradients['terms'],
    statistics: of('statistics', statistics, sumOf),
    seen: of('seen', seen, sumOf),
    rows: of('rows', rows, rowsOf),
  };
  tf.dispose(groups);
  return result;
}

/** The method's own state after a step; the given one is used up. */
function prepareNextState(engine: Engine, { state }: Method): (own: Tensors, statistics: Tensors) => Promise<Tensors> {
  if (!state) return async (own) => own;
  const next = engine.compile((own: Tensors, statistics: Tensors) => tf.tidy(() => state.next(own, statistics)));
  return async (own, statistics) => {
    const after = await next(own, statistics);
    tf.dispose(own);
    return after;
  };
}

/** Networks with the running statistics of batch norm after a step; those of the given ones are used up. */
function prepareRunning(engine: Engine): (networks: Networks, seen: Tensors) => Promise<Networks> {
  const compute = engine.compile((running: Networks, seen: Tensors) => tf.tidy(() => nextRunning(running, seen)));
  return async (networks, seen) => {
    if (Object.keys(seen).length === 0) return networks;
    const next = await compute(runningOf(networks), seen);
    tf.dispose(mapValues(next, (running, network) => mapValues(running, (_, name) => networks[network][name])));
    return mapValues(networks, (parameters, network) => ({ ...parameters, ...next[network] }));
  };
}

/** @throws NotFinite, where the tensors are disposed of */
function requireFinite(step: number, numbers: NotFinite['numbers'], tensors: Parameters<typeof tf.dispose>[0]): void {
  const { loss, gradientNorm, terms, logs, weightNorm = 0 } = numbers;
  if ([loss, gradientNorm, weightNorm, ...Object.values(terms), ...Object.values(logs)].every(Number.isFinite)) return;
  tf.dispose(tensors);
  throw new NotFinite(step, numbers);
}

/** The method's rates that are not decays of moving averages, as scalars: those that its functions may need. */
function scalarsOf({ networks, rates: specs }: Method, rates: StepRates): Tensors {
  const decays = Object.values(networks).map(({ role }) => role.by === 'ema' && role.decay);
  const names = Object.keys(specs).filter((name) => !decays.includes(name));
  return Object.fromEntries(names.map((name) => [name, tf.scalar(rates[name])]));
}

function summary(method: Method, { loss, terms, rows, gradients }: Gradients) {
  return tf.tidy(() => ({
    loss: loss.clone(),
    gradientNorm: globalNorm([...tensorsOf(gradients)].map(([, , tensor]) => tensor)),
    terms: mapValues(terms, (term) => term.clone()),
    logs: Object.fromEntries(method.logs.map((log) => [log.name, log.compute(rows[log.name])])),
  }));
}

/** √ Σ ‖x‖² over all tensors. */
function globalNorm(tensors: readonly Tensor[]): Scalar {
  return tf.addN(tensors.map((tensor) => tensor.square().sum())).sqrt() as Scalar;
}

/** The values of scalars, which are disposed of. */
async function readNumbers(scalars: ReturnType<typeof summary>): Promise<StepNumbers> {
  const read = async (scalar: Scalar) => (await scalar.data())[0];
  const readAll = async (named: Readonly<Record<string, Scalar>>) =>
    Object.fromEntries(
      await Promise.all(Object.entries(named).map(async ([name, scalar]) => [name, await read(scalar)] as const)),
    );
  const numbers = {
    loss: await read(scalars.loss),
    gradientNorm: await read(scalars.gradientNorm),
    terms: await readAll(scalars.terms),
    logs: await readAll(scalars.logs),
  };
  tf.dispose(scalars);
  return numbers;
}
