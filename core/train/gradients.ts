import { mapValues } from '../base/map-values.js';
import type { Engine } from '../engine/contract.js';
import { recomputing } from '../engine/recompute.js';
import { type Scalar, type Tensor, tf } from '../engine/tf.js';
import type { Method, Networks, Part, Tensors } from '../methods/method.js';
import { isRunning, observing } from '../nn/batch-norm.js';
import { type Communicator, LOCAL } from './communicator/communicator.js';
import { type CachedTerms, prepareGradCache, termOfPart } from './grad-cache.js';
import { differentiate, mapNetworks, trainedOf } from './state.js';

/** What a batch, or a part of one, comes to. */
export type Gradients = {
  loss: Scalar;
  /** Each term's value, by its name, without its weight. */
  terms: Readonly<Record<string, Scalar>>;
  /** Rows of each log column, by its name. */
  rows: Tensors;
  /** Statistics of the method's own state. */
  statistics: Tensors;
  /** What layers of batch norm saw, as `observing` gives it. */
  seen: Tensors;
  /** Of the trained networks. */
  gradients: Networks;
};

/**
 * How many parts of a batch are computed at the same time. What terms over the whole batch look at is computed once more
 * where there are several parts, and batch norm goes by the images of a part: there are no more parts than must be.
 */
export function usableConcurrency(
  { concurrency }: Pick<Engine, 'concurrency'>,
  { terms, networks }: Pick<Method, 'terms' | 'networks'>,
) {
  const hasBatchNorm = Object.values(networks).some(({ shapes }) => Object.keys(shapes).some(isRunning));
  return hasBatchNorm || terms.some(({ over }) => over === 'batch') ? 1 : concurrency;
}

/**
 * Prepares what computes a method's loss over this rank's parts of a batch, and its gradients, which are added up in the
 * parts' order; they are the caller's to dispose.
 * @param seed and each call's `step`, from 1: fix what terms draw anew in each
 * @param recompute whether blocks are computed once more for their gradients: the same bits in less memory
 */
export function prepareGradients(
  engine: Engine,
  method: Method,
  seed: number,
  concurrency: number,
  recompute = false,
  communicator: Communicator = LOCAL,
) {
  const computeParts = engine.compileParts(
    (networks: Networks, { part, cached }: { part: Part; cached: CachedTerms }) =>
      tf.tidy(() => gradientsOfPart(method, networks, part, cached, recompute)),
  );
  const gradCache = prepareGradCache(engine, method, seed, communicator);
  return async (networks: Networks, parts: readonly Part[], step: number): Promise<Gradients> => {
    const cached = await gradCache(networks, parts, step);
    let sum: Gradients | null = null;
    const inputs = parts.map((part, index) => ({ part, cached: cached[index] }));
    for await (const result of computeParts(networks, inputs, concurrency)) {
      sum = sum ? await addUp(engine, sum, result) : result;
    }
    tf.dispose(cached);
    if (!sum) throw new Error('a batch has no images');
    return sum;
  };
}

/** Targets, outputs, loss, gradients of a part of a batch. */
function gradientsOfPart(
  method: Method,
  networks: Networks,
  part: Part,
  cached: CachedTerms,
  recompute: boolean,
): Gradients {
  const { result: targets, seen: seenByTargets } = observing(networks, () => method.targets(networks, part));
  let kept: Pick<Gradients, 'terms' | 'rows' | 'statistics'> = { terms: {}, rows: {}, statistics: {} };
  let seen: Tensors = {};
  const { value, gradients } = differentiate(trainedOf(method, networks), (trained) => {
    const current = mapValues(networks, (own, name) => ({ ...own, ...trained[name] }));
    const compute = () => recomputing(recompute, () => method.outputs(current, part));
    const { result: outputs, seen: seenByAll } = observing(networks, compute, seenByTargets);
    seen = seenByAll;
    const terms: Record<string, Scalar> = {};
    let loss: Tensor | null = null;
    for (const term of method.terms) {
      const value = termOfPart(term, { outputs, targets, networks: current }, part, cached);
      terms[term.name] = value;
      const weighted = term.weight === 1 ? value : value.mul(term.weight);
      loss = loss ? loss.add(weighted) : weighted;
    }
    const rows = Object.fromEntries(method.logs.map((log) => [log.name, log.rows(outputs, targets, part)]));
    const statistics = method.state?.statistics(outputs, targets, part) ?? {};
    kept = mapNetworks({ terms, rows, statistics }, (tensor) => tf.keep(tensor.clone())); // they outlive this function
    if (!loss) throw new Error('a method has no terms');
    return loss as Scalar;
  });
  const given = { ...mapNetworks({ ...kept, seen }, (tensor) => tensor.clone()), loss: value, gradients };
  tf.dispose([kept, seen]);
  return given;
}

/** Adds the results of two parts up; both are used up. */
async function addUp(engine: Engine, a: Gradients, b: Gradients): Promise<Gradients> {
  const sum = async <Group extends Tensors>(x: Group, y: Group): Promise<Group> => {
    const sums: Record<string, Tensor> = {};
    for (const [name, tensor] of Object.entries(y)) sums[name] = await engine.accumulate(x[name], tensor);
    return sums as Group;
  };
  const rows = mapValues(b.rows, (own, name) => tf.concat([a.rows[name], own], 0));
  tf.dispose([a.rows, b.rows]);
  const gradients: Record<string, Tensors> = {};
  for (const [network, own] of Object.entries(b.gradients)) gradients[network] = await sum(a.gradients[network], own);
  return {
    loss: (await engine.accumulate(a.loss, b.loss)) as Scalar,
    terms: await sum(a.terms, b.terms),
    rows,
    statistics: await sum(a.statistics, b.statistics),
    seen: await sum(a.seen, b.seen),
    gradients,
  };
}
