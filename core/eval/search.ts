import type { StoredFeatures } from './features-file.js';

/** A picture that is like another one. */
export interface Neighbour {
  /** Its row in the file of features, from 0. */
  row: number;
  name: string;
  /** Cosine of the angle between the features of the two, from -1 to 1. */
  similarity: number;
}

/**
 * The pictures whose features are most similar to those of a query, by cosine: x · y / (‖x‖ ‖y‖). The most similar one is
 * first, of equals the one that comes first in the file. Of several rows with one name, which are views of one picture, the
 * most similar one counts.
 * @param query features of a picture, [K]
 * @param own the name of that picture, which is passed over; null where it is none of the file's
 * @param top how many are wanted; fewer where there are not so many
 */
export function mostSimilar(
  { data, width, names }: StoredFeatures,
  query: Float32Array,
  own: string | null,
  top: number,
): Neighbour[] {
  const length = Math.sqrt(dot(query, query));
  const best = new Map<string, Neighbour>();
  for (const [row, name] of names.entries()) {
    if (name === own) continue;
    const key = data.subarray(row * width, (row + 1) * width);
    const lengths = length * Math.sqrt(dot(key, key));
    const similarity = lengths === 0 ? 0 : dot(query, key) / lengths;
    if (similarity > (best.get(name)?.similarity ?? Number.NEGATIVE_INFINITY))
      best.set(name, { row, name, similarity });
  }
  return [...best.values()].sort((a, b) => b.similarity - a.similarity || a.row - b.row).slice(0, top);
}

/** Σ query[i] key[i] */
function dot(query: Float32Array, key: Float32Array): number {
  let sum = 0;
  for (let at = 0; at < query.length; at++) sum += query[at] * key[at];
  return sum;
}
