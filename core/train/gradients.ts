import { mapValues } from '../base/map-values.js';
import { RandomStream } from '../base/random.js';
import type { Engine } from '../engine/contract.js';
import { type Scalar, type Tensor, tf } from '../engine/tf.js';
import { drawnTensors } from '../methods/batch.js';
import type { Method, Networks, Part, Tensors, Term } from '../methods/method.js';
import { type CachedTerms, type GradCache, prepareGradCache, termOfPart } from './grad-cache.js';
import { tensorsOf, trainedOf } from './state.js';

/** What a batch, or a part of one, comes to. */
export type Gradients = {
  loss: Scalar;
  /** Each term's value, by its name, without its weight. */
  terms: Readonly<Record<string, Scalar>>;
  /** Rows of each log column, by its name. */
  rows: Tensors;
  /** Statistics of the method's own state. */
  statistics: Tensors;
  /** Of the trained networks. */
  gradients: Networks;
};

/**
 * Computes a method's loss over the parts of a batch and its gradients, which are added up in the parts' order; the
 * caller's to dispose.
 * @param step from 1, for what terms draw anew in each
 */
export type ComputeGradients = (networks: Networks, parts: readonly Part[], step: number) => Promise<Gradients>;

/**
 * How many parts of a batch are computed at the same time. What terms over the whole batch look at is computed once more
 * where there are several parts: there are no more than must be.
 */
export function usableConcurrency(
  { concurrency }: Pick<Engine, 'concurrency'>,
  { terms }: Pick<Method, 'terms'>,
): number {
  return terms.some(({ over }) => over === 'batch') ? 1 : concurrency;
}

/** Prepares a method's gradients for an engine. */
export function prepareGradients(engine: Engine, method: Method, seed: number, concurrency: number): ComputeGradients {
  const computeParts = engine.compileParts(
    (networks: Networks, { part, cached }: { part: Part; cached: CachedTerms }) =>
      tf.tidy(() => gradientsOfPart(method, networks, part, cached)),
  );
  const gradCache: GradCache = prepareGradCache(engine, method);
  return async (networks, parts, step) => {
    const cached = await gradCache(networks, parts, drawTerms(method.terms, seed, step));
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
function gradientsOfPart(method: Method, networks: Networks, part: Part, cached: CachedTerms): Gradients {
  const targets = method.targets(networks, part);
  let kept: Omit<Gradients, 'loss' | 'gradients'> = { terms: {}, rows: {}, statistics: {} };
  const { value, gradients } = differentiate(trainedOf(method, networks), (trained) => {
    const outputs = method.outputs({ ...networks, ...trained }, part);
    const terms: Record<string, Scalar> = {};
    let loss: Tensor | null = null;
    for (const term of method.terms) {
      const value = termOfPart(term, outputs, targets, part, cached);
      terms[term.name] = value;
      const weighted = term.weight === 1 ? value : value.mul(term.weight);
      loss = loss ? loss.add(weighted) : weighted;
    }
    const rows = Object.fromEntries(method.logs.map((log) => [log.name, log.rows(outputs, targets, part)]));
    const statistics = method.state?.statistics(outputs, targets, part) ?? {};
    kept = keep({ terms, rows, statistics });
    if (!loss) throw new Error('a method has no terms');
    return loss as Scalar;
  });
  const given = { ...cloned(kept), loss: value, gradients };
  tf.dispose(kept);
  return given;
}

/** Tensors that outlive the function that gradients are taken of. */
function keep<Kept extends Record<string, Tensors>>(kept: Kept): Kept {
  return mapTensors(kept, (tensor) => tf.keep(tensor.clone()));
}

function cloned<Kept extends Record<string, Tensors>>(kept: Kept): Kept {
  return mapTensors(kept, (tensor) => tensor.clone());
}

function mapTensors<Kept extends Record<string, Tensors>>(kept: Kept, make: (tensor: Tensor) => Tensor): Kept {
  return mapValues(kept, (tensors) => mapValues(tensors, make)) as Kept;
}

/** Value of a scalar function of networks, and its gradients. */
export function differentiate(
  networks: Networks,
  compute: (networks: Networks) => Scalar,
): { value: Scalar; gradients: Networks } {
  const entries = [...tensorsOf(networks)];
  const zip = (tensors: readonly Tensor[]): Networks => {
    const zipped: Record<string, Record<string, Tensor>> = {};
    for (const [at, [network, name]] of entries.entries()) {
      zipped[network] ??= {};
      (zipped[network] as Record<string, Tensor>)[name] = tensors[at];
    }
    return zipped;
  };
  const { value, grads } = tf.valueAndGrads((...tensors: Tensor[]) => compute(zip(tensors)))(
    entries.map(([, , tensor]) => tensor),
  );
  return { value: value as Scalar, gradients: zip(grads) };
}

/** Adds the results of two parts up; both are used up. */
async function addUp(engine: Engine, a: Gradients, b: Gradients): Promise<Gradients> {
  const sum = async <Group extends Tensors>(x: Group, y: Group): Promise<Group> => {
    const sums: Record<string, Tensor> = {};
    for (const [name, tensor] of Object.entries(y)) sums[name] = await engine.accumulate(x[name], tensor);
    return sums as Group;
  };
  const rows = Object.fromEntries(
    Object.entries(b.rows).map(([name, own]) => [name, tf.concat([a.rows[name], own], 0)]),
  );
  tf.dispose([a.rows, b.rows]);
  const gradients: Record<string, Tensors> = {};
  for (const [network, own] of Object.entries(b.gradients)) {
    gradients[network] = await sum(a.gradients[network], own);
  }
  return {
    loss: (await engine.accumulate(a.loss, b.loss)) as Scalar,
    terms: await sum(a.terms, b.terms),
    rows,
    statistics: await sum(a.statistics, b.statistics),
    gradients,
  };
}

/** What terms draw in a step, by their names. */
function drawTerms(terms: Method['terms'], seed: number, step: number): Readonly<Record<string, Tensors>> {
  const draw = (term: Term<Tensors, Tensors>): [string, Tensors][] => {
    if (term.over !== 'batch') return [];
    return [[term.name, drawnTensors(term.draw?.(new RandomStream(seed, term.name, step)) ?? {})]];
  };
  return Object.fromEntries(terms.flatMap(draw));
}
