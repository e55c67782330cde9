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
  const found: Neighbour[] = []; // most similar first, each name once
  for (const [row, name] of names.entries()) {
    const key = data.subarray(row * width, (row + 1) * width);
    const lengths = length * Math.sqrt(dot(key, key));
    const similarity = lengths === 0 ? 0 : Math.max(-1, Math.min(1, dot(query, key) / lengths)); // less rounding
    const smallest = found.length < top ? Number.NEGATIVE_INFINITY : found[top - 1].similarity;
    if (name === own || !(similarity > smallest)) continue; // NaN is never found
    const other = found.findIndex((neighbour) => neighbour.name === name);
    if (other >= 0 && found[other].similarity >= similarity) continue;
    if (other >= 0) found.splice(other, 1);
    const place = found.findIndex((neighbour) => neighbour.similarity < similarity);
    found.splice(place < 0 ? found.length : place, 0, { row, name, similarity });
    found.length = Math.min(found.length, top);
  }
  return found;
}

/** Σ query[i] key[i] */
function dot(query: Float32Array, key: Float32Array): number {
  let sum = 0;
  for (let at = 0; at < query.length; at++) sum += query[at] * key[at];
  return sum;
}
