import { mapValues } from '../base/map-values.js';
import { RandomStream } from '../base/random.js';
import { compileWhole, type Engine } from '../engine/contract.js';
import { type Scalar, type Tensor, tf } from '../engine/tf.js';
import { drawnTensors } from '../methods/batch.js';
import type { Method, Networks, Part, Tensors, Term } from '../methods/method.js';
import { learningUnobserved } from '../nn/batch-norm.js';
import type { Communicator } from './communicator/communicator.js';
import { gatherTensors } from './communicator/tensors.js';

/*
 * The gradient cache (Gao et al. 2021, GradCache) for terms over the whole batch.
 *
 * Such a term's R is no mean over parts. Where a batch is computed in several, the rows z of all parts and ranks are computed
 * first without gradient, then R(z) and G = ∂R/∂z; each part adds ⟨G, z(θ)⟩, whose gradient is that of R itself, and its share of
 * R - ⟨G, z⟩, which brings the sum of the parts to R. Where there is one part, it computes R itself.
 */

/** What stands for terms over the whole batch in a part of it: what they drew, or G and the share of R - ⟨G, z⟩. */
export type CachedTerms = Readonly<Record<string, CachedTerm>>;
type CachedTerm = { drawn: Tensors } | { grad: Tensor; correction: Tensor };

type BatchTerm = Extract<Term<Tensors, Tensors>, { over: 'batch' }>;

/**
 * Prepares the cache for an engine: it gives `CachedTerms` for each part, the caller's to dispose.
 * @param seed and each call's `step`: fix what terms draw anew in each step
 */
export function prepareGradCache(engine: Engine, method: Method, seed: number, communicator: Communicator) {
  const terms = method.terms.filter((term): term is BatchTerm => term.over === 'batch');
  const named = Object.fromEntries(terms.map((term) => [term.name, term]));
  const rowsOf = compileWhole(engine, (networks: Networks, part: Part) =>
    tf.tidy(() => {
      const outputs = learningUnobserved(() => method.outputs(networks, part));
      return mapValues(named, (term) => term.rows(outputs));
    }),
  );
  const cachedGradients = engine.compile((rows: AllRows, drawn: Readonly<Record<string, Tensors>>, rates: Tensors) =>
    tf.tidy((): CachedTerms[] => {
      const byTerm = mapValues(named, (term, name) => {
        const of = (parts: readonly Tensors[]) => parts.map((part) => part[name]);
        const { before, own, after } = rows;
        const pieces = { before: of(before), own: of(own), after: of(after) };
        return cachedTerm(term, pieces, drawn[name], rates, communicator.size);
      });
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
    const cached = await cachedGradients(rows, drawn, parts[0]?.rates ?? {});
    tf.dispose([rows, drawn]);
    return cached;
  };
}

/** Rows of a batch, by term: those of each part of this rank, and those of the ranks before and after it. */
type Rows<Piece> = Record<'before' | 'own' | 'after', Piece[]>;
type AllRows = Rows<Tensors>;

async function rowsOfAll(communicator: Communicator, own: Tensors[]): Promise<AllRows> {
  const { rank, size } = communicator;
  if (size === 1) return { before: [], own, after: [] };
  const joined = tf.tidy(() => mapValues(own[0], (_, name) => tf.concat(own.map((part) => part[name]))));
  const gathered = await gatherTensors(communicator, joined);
  tf.dispose(joined);
  const ofRank = (other: number) => mapValues(gathered, (byRank) => tf.tensor(byRank[other].data, byRank[other].shape));
  const others = (from: number, to: number) => Array.from({ length: to - from }, (_, at) => ofRank(from + at));
  return { before: others(0, rank), own, after: others(rank + 1, size) };
}

/** G and the share of R - ⟨G, z⟩ of each part of this rank, of so many. */
function cachedTerm(term: BatchTerm, rows: Rows<Tensor>, drawn: Tensors, rates: Tensors, ranks: number) {
  const pieces = [...rows.before, ...rows.own, ...rows.after];
  const z = tf.concat(pieces, 0);
  const { value, grad } = tf.valueAndGrad((x: Tensor) => term.compute(x, drawn, rates))(z);
  const correction = value.sub(grad.mul(z).sum()).div(rows.own.length * ranks);
  const sizes = pieces.map((piece) => piece.shape[0]);
  const grads = tf.split(grad, sizes, 0).slice(rows.before.length, rows.before.length + rows.own.length);
  return grads.map((own) => ({ grad: own, correction: correction.clone() }));
}

/** A term's value of a part: parts add up to that of the batch. */
export function termOfPart(
  term: Term<Tensors, Tensors>,
  outputs: Tensors,
  targets: Tensors,
  part: Part,
  cached: CachedTerms,
): Scalar {
  if (term.over === 'images') return term.compute(outputs, targets, part).mul(part.fraction);
  const known = cached[term.name];
  if (!known) throw new Error(`nothing was prepared for the term '${term.name}'`);
  const rows = term.rows(outputs);
  if ('drawn' in known) return term.compute(rows, known.drawn, part.rates);
  return rows.mul(known.grad).sum().add(known.correction);
}
