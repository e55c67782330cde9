import { mapValues } from '../base/map-values.js';
import { RandomStream } from '../base/random.js';
import { compileWhole, type Engine } from '../engine/contract.js';
import { type Scalar, type Tensor, tf } from '../engine/tf.js';
import { drawnTensors } from '../methods/batch.js';
import type { Method, Networks, Part, Tensors, Term } from '../methods/method.js';
import { learningUnobserved } from '../nn/batch-norm.js';
import type { Communicator } from './communicator/communicator.js';
import { gatherTensors } from './communicator/tensors.js';
import { differentiate, mapNetworks, tensorsOf, trainedOf } from './state.js';

/*
 * The gradient cache (Gao et al. 2021, GradCache) for terms over the whole batch.
 *
 * Such a term's R is no mean over parts. Where a batch is computed in n, the rows z of all parts and ranks are computed first
 * without gradient, then R(z, φ) with G = ∂R/∂z and Γ = ∂R/∂φ, where φ are the heads that it applies to the rows. Each part
 * adds ⟨G, z(θ)⟩ + ⟨Γ, φ⟩ / n, whose gradients sum to those of R itself, and 1/n of R - ⟨G, z⟩ - ⟨Γ, φ⟩, which brings the
 * sum of the parts to R. Where there is one part, it computes R itself.
 */

/** What stands for terms over the whole batch in a part of it: what they drew; or G, Γ / n, and its share of the rest of R. */
export type CachedTerms = Readonly<Record<string, CachedTerm>>;
type CachedTerm = { drawn: Tensors } | { grad: Tensor; headGrads: Networks; correction: Tensor };

type BatchTerm = Extract<Term<Tensors, Tensors>, { over: 'batch' }>;

/**
 * Prepares the cache for an engine: it gives `CachedTerms` for each part, the caller's to dispose.
 * @param seed and each call's `step`: fix what terms draw anew in each step
 */
export function prepareGradCache(engine: Engine, method: Method, seed: number, communicator: Communicator) {
  const terms = method.terms.filter((term): term is BatchTerm => term.over === 'batch');
  const named = Object.fromEntries(terms.map((term) => [term.name, term]));
  const rowsOf = compileWhole(engine, (networks: Networks, part: Part) =>
    tf.tidy(
      (): Tensors =>
        learningUnobserved(() => {
          const targets = terms.some(({ targetRows }) => targetRows) ? method.targets(networks, part) : {};
          const outputs = method.outputs(networks, part);
          return Object.assign({}, ...terms.map((term) => rowsOfTerm(term, outputs, targets)));
        }),
    ),
  );
  const cachedGradients = engine.compile(
    (heads: Networks, rows: Rows, drawn: Readonly<Record<string, Tensors>>, rates: Tensors) =>
      tf.tidy((): CachedTerms[] => {
        const byTerm = mapValues(named, (term, name) =>
          cachedTerm(method, term, heads, rows, drawn[name], rates, communicator.size),
        );
        return rows.own.map((_, part) => mapValues(byTerm, (parts) => parts[part]));
      }),
  );
  return async (networks: Networks, parts: readonly Part[], step: number): Promise<CachedTerms[]> => {
    const drawn = mapValues(named, (term) => drawnTensors(term.draw?.(new RandomStream(seed, term.name, step)) ?? {}));
    const isWhole = parts.length === 1 && communicator.size === 1;
    if (isWhole || terms.length === 0) return parts.map(() => mapValues(drawn, (own) => ({ drawn: own })));
    const own: Tensors[] = [];
    for (const part of parts) own.push(await rowsOf(networks, part));
    const rows = await rowsOfAll(communicator, own);
    const cached = await cachedGradients(headsOf(networks, terms), rows, drawn, parts[0]?.rates ?? {});
    tf.dispose([rows, drawn]);
    return cached;
  };
}

/** A term's rows by its name, and those of its targets. */
function rowsOfTerm(term: BatchTerm, outputs: Tensors, targets: Tensors): Tensors {
  return {
    [term.name]: term.rows(outputs),
    ...(term.targetRows && { [targetsOf(term)]: term.targetRows(targets) }),
  };
}

const targetsOf = ({ name }: BatchTerm) => `${name}/targets`;

/** The networks that some terms apply to their rows. */
function headsOf(networks: Networks, terms: readonly BatchTerm[]): Networks {
  const names = new Set(terms.flatMap(({ heads = [] }) => heads));
  return Object.fromEntries([...names].map((name) => [name, networks[name]]));
}

/** Rows of a batch, by name: those of each part of this rank, and those of the ranks before and after it. */
type Rows = Record<'before' | 'own' | 'after', Tensors[]>;

async function rowsOfAll(communicator: Communicator, own: Tensors[]): Promise<Rows> {
  const { rank, size } = communicator;
  if (size === 1) return { before: [], own, after: [] };
  const joined = tf.tidy(() => mapValues(own[0], (_, name) => tf.concat(own.map((part) => part[name]))));
  const gathered = await gatherTensors(communicator, joined);
  tf.dispose(joined);
  const ofRank = (other: number) => mapValues(gathered, (byRank) => tf.tensor(byRank[other].data, byRank[other].shape));
  const others = (from: number, to: number) => Array.from({ length: to - from }, (_, at) => ofRank(from + at));
  return { before: others(0, rank), own, after: others(rank + 1, size) };
}

/** G, Γ / n and the share of the rest of R for each part of this rank, of so many ranks. */
function cachedTerm(
  method: Method,
  term: BatchTerm,
  networks: Networks,
  { before, own, after }: Rows,
  drawn: Tensors,
  rates: Tensors,
  ranks: number,
): CachedTerm[] {
  const pieces = [...before, ...own, ...after];
  const z = tf.concat(pieces.map((piece) => piece[term.name]));
  const targets = term.targetRows ? tf.concat(pieces.map((piece) => piece[targetsOf(term)])) : null;
  const heads = headsOf(networks, [term]);
  const inputs = { ...trainedOf(method, heads), [ROWS]: { z } };
  const { value, gradients } = differentiate(inputs, ({ [ROWS]: rows, ...trained }) =>
    term.compute(rows.z, drawn, rates, { targets, heads: { ...heads, ...trained } }),
  );
  const { [ROWS]: rowGrads, ...headGrads } = gradients;
  const n = own.length * ranks;
  const correction = value.sub(products(gradients, inputs)).div(n);
  const sizes = pieces.map((piece) => piece[term.name].shape[0]);
  const grads = tf.split(rowGrads.z, sizes, 0).slice(before.length, before.length + own.length);
  return grads.map((grad) => ({
    grad,
    headGrads: mapNetworks(headGrads, (all) => all.div(n)),
    correction: correction.clone(),
  }));
}

/** Stands among the networks for the rows of the batch. */
const ROWS = ' rows';

/** Σ ⟨G, θ⟩ over all tensors of G. */
function products(grads: Networks, networks: Networks): Scalar {
  const all = [...tensorsOf(grads)].map(([network, name, grad]) => grad.mul(networks[network][name]).sum());
  return all.reduce((sum, product) => sum.add(product)) as Scalar;
}

/** A term's value of a part: parts add up to that of the batch. */
export function termOfPart(
  term: Term<Tensors, Tensors>,
  { outputs, targets, networks }: { outputs: Tensors; targets: Tensors; networks: Networks },
  part: Part,
  cached: CachedTerms,
): Scalar {
  if (term.over === 'images') return term.compute(outputs, targets, part).mul(part.fraction);
  const known = cached[term.name];
  if (!known) throw new Error(`nothing was prepared for the term '${term.name}'`);
  const rows = term.rows(outputs);
  if ('drawn' in known) {
    const whole = { targets: term.targetRows?.(targets) ?? null, heads: headsOf(networks, [term]) };
    return term.compute(rows, known.drawn, part.rates, whole);
  }
  const grads = { ...known.headGrads, [ROWS]: { z: known.grad } };
  return products(grads, { ...networks, [ROWS]: { z: rows } }).add(known.correction);
}
