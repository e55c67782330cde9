import type { Accuracies, Accuracy } from './results.js';

/** 97.5% of a standard normal distribution lie below. */
const Z = 1.959964;

/**
 * How many other classes a row of scores does not put below the right one: 0 where it is alone at the top. A tie counts
 * against the model, and so does NaN.
 * @param scores a list in which the row's scores lie side by side from `start`
 */
export function rankOf(scores: ArrayLike<number>, start: number, classes: number, right: number): number {
  if (!(right >= 0 && right < classes)) {
    throw new Error(`rankOf expected a class from 0 to ${classes - 1}, received ${right}`);
  }
  const score = scores[start + right];
  let rank = 0;
  for (let other = 0; other < classes; other++) {
    if (other !== right && !(scores[start + other] < score)) rank++;
  }
  return rank;
}

/** How a classifier judges M test samples. */
export interface Ranked {
  /** The rank of the right class, from 0, [M]. */
  ranks: Int32Array;
  /** The class that it names: the right one only where no other has as high a score, [M]. */
  predicted: Int32Array;
}

/**
 * The class that a row of scores names, where the right one has this rank: of equal scores and of those that are NaN the
 * first class beside the right one.
 */
export function namedClass(scores: ArrayLike<number>, start: number, classes: number, right: number, rank: number) {
  if (rank === 0) return right;
  let found = right === 0 ? 1 : 0;
  for (let other = found + 1; other < classes; other++) {
    if (other !== right && scores[start + other] > scores[start + found]) found = other;
  }
  return found;
}

/**
 * The rank of the right class of each of M images among C classes, from 0, [M].
 * @param logits [M, C]
 * @param labels the right classes, [M]
 */
export function ranksOf(logits: ArrayLike<number>, labels: Int32Array, classes: number): Int32Array {
  if (logits.length !== labels.length * classes) {
    throw new Error(`ranksOf expected ${labels.length} x ${classes} logits, received ${logits.length}`);
  }
  return labels.map((label, image) => rankOf(logits, image * classes, classes, label));
}

/** Ranks below `within`, in percent: 1 for top-1. */
export function percentWithin(ranks: Int32Array, within: number): number {
  return ranks.length === 0 ? 0 : (100 * ranks.reduce((hits, rank) => hits + Number(rank < within), 0)) / ranks.length;
}

/** Top-1 and top-5 accuracy in percent, with 95% intervals over the images. */
export function accuracies(ranks: Int32Array): Accuracies {
  return {
    top1: accuracyOf(percentWithin(ranks, 1), ranks.length),
    top5: accuracyOf(percentWithin(ranks, 5), ranks.length),
  };
}

/** Most classes of a table of confusions: its numbers grow with their square. */
const MOST_CONFUSED = 100;

/**
 * How often images of a class, row, are named as another or the same one, column, [C, C].
 * @param predicted the classes that were named, [M]
 * @param labels the right ones, [M]
 * @returns null where there are more than 100 classes
 */
export function confusionOf(predicted: Int32Array, labels: Int32Array, classes: readonly string[]) {
  if (classes.length > MOST_CONFUSED) return null;
  const counts = classes.map(() => classes.map(() => 0));
  for (const [image, label] of labels.entries()) counts[label][predicted[image]] += 1;
  return { classes: [...classes], counts };
}

/**
 * Accuracy p of n images with Wilson's score interval (1927), which is no point where p is 0 or 1:
 *
 *   (p + z²/2n ± z √(p (1 - p) / n + z²/4n²)) / (1 + z²/n)
 *
 * @param value in percent
 */
export function accuracyOf(value: number, images: number): Accuracy {
  if (images === 0) return { value, low: 0, high: 100 };
  const fraction = value / 100;
  const part = Z ** 2 / images;
  const middle = (fraction + part / 2) / (1 + part);
  const reach = Math.sqrt(fraction * (1 - fraction) * part + part ** 2 / 4) / (1 + part);
  // Rounding errors must not put the value outside.
  return {
    value,
    low: Math.min(value, Math.max(0, 100 * (middle - reach))),
    high: Math.max(value, Math.min(100, 100 * (middle + reach))),
  };
}

/** An accuracy over runs of several seeds. */
export type MeanAccuracy = Accuracy & {
  /** Standard deviation over the seeds, percentage points; null where there is one seed. */
  deviation: number | null;
  /** Of each seed. */
  values: number[];
};

/**
 * The mean accuracy of runs that were judged on the same n images: x̄ ± s over the seeds, s with S - 1 in its denominator, and
 * the interval of an accuracy of x̄ on n images. All seeds were judged on the same images, so that more seeds do not narrow it.
 * @param values in percent, of each seed
 */
export function meanAccuracy(values: readonly number[], images: number): MeanAccuracy {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  const deviation = values.length < 2 ? null : Math.sqrt(squares / (values.length - 1));
  return { ...accuracyOf(mean, images), deviation, values: [...values] };
}
