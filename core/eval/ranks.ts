/**
 * How many classes a row of scores puts before the right one: 0 where it is first. Of equal scores the class with the
 * smaller number comes first, as with argmax; a score that is no number counts as before, so that it never helps.
 * @param scores a list in which the row's scores lie side by side from `start`
 */
export function rankOf(scores: ArrayLike<number>, start: number, classes: number, right: number): number {
  const score = scores[start + right] as number;
  let rank = 0;
  for (let c = 0; c < right; c++) if (!((scores[start + c] as number) < score)) rank++;
  for (let c = right + 1; c < classes; c++) if (!((scores[start + c] as number) <= score)) rank++;
  return rank;
}

/** The part of ranks that are below `within`, in percent. */
export function percentWithin(ranks: Int32Array, within: number): number {
  return ranks.length === 0 ? 0 : (100 * ranks.reduce((hits, rank) => hits + Number(rank < within), 0)) / ranks.length;
}
