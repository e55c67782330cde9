/**
 * How many other classes a row of scores does not put below the right one: 0 where it is alone at the top. A tie counts
 * against the model, and so does a score that is not a number.
 * @param scores a list in which the row's scores lie side by side from `start`
 */
export function rankOf(scores: ArrayLike<number>, start: number, classes: number, right: number): number {
  if (!(right >= 0 && right < classes)) {
    throw new Error(`rankOf expected a class from 0 to ${classes - 1}, received ${right}`);
  }
  const score = scores[start + right] as number;
  let rank = 0;
  for (let other = 0; other < classes; other++) {
    if (other !== right && !((scores[start + other] as number) < score)) rank++;
  }
  return rank;
}

/**
 * The rank of the right class of each image, from 0.
 *
 * Letters: M images, C classes.
 * @param logits [M, C]
 * @param labels the right classes, [M]
 * @returns [M]
 */
export function ranksOf(logits: Float32Array, labels: Int32Array, classes: number): Int32Array {
  if (logits.length !== labels.length * classes) {
    throw new Error(`ranksOf expected ${labels.length} x ${classes} logits, received ${logits.length}`);
  }
  return labels.map((label, image) => rankOf(logits, image * classes, classes, label));
}

/** The part of ranks that are below `within`, in percent: 1 for top-1. */
export function percentWithin(ranks: Int32Array, within: number): number {
  return ranks.length === 0 ? 0 : (100 * ranks.reduce((hits, rank) => hits + Number(rank < within), 0)) / ranks.length;
}
