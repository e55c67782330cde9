import { RandomStream } from '../base/random.js';
import type { Engine } from '../engine/contract.js';
import { accuracies, type MeanAccuracy, meanAccuracy } from './accuracy.js';
import { linearRanks } from './linear.js';
import { prepareFits } from './logistic.js';
import { pickSamples, type Samples, standardise } from './samples.js';

/*
 * Logistic regression on few labelled images, drawn several times (k-shot; Assran et al. 2022
 * judge so with k images a class or 1% of the labels).
 */

/** How many images of each class have labels: a number of them, or a part. */
export type LabelCount = { shots: number } | { fraction: number };

/** What is measured with few labels. */
export interface FewLabels {
  counts: readonly LabelCount[];
  /** How often images are drawn. */
  draws: number;
}

/** What few labels gave. */
export type FewLabelsResult = { count: LabelCount; images: number; top1: MeanAccuracy };

/** Fixed, as there are no images to choose it on; scikit-learn's default. */
const C = 1;

/**
 * Top-1 of logistic regression with C = 1 on the last layer's features of drawn training samples, standardised by these
 * samples alone.
 * @param train of which a class has at least as many samples as are asked for, or gives all it has
 * @param seed that of the draws
 * @returns for each count mean and standard deviation over the draws
 * @throws the signal's reason if it is aborted
 */
export async function fewLabelAccuracies(
  engine: Engine,
  train: Samples,
  test: Samples,
  classes: number,
  { counts, draws }: FewLabels,
  seed: number,
  signal?: AbortSignal,
): Promise<FewLabelsResult[]> {
  const results: FewLabelsResult[] = [];
  for (const count of counts) {
    const values: number[] = [];
    let images = 0;
    for (let draw = 0; draw < draws; draw++) {
      const chosen = drawLabels(train.labels, classes, count, seed, draw);
      images = chosen.length;
      const ranks = await ranksByFew(engine, pickSamples(train, chosen), test, classes, signal);
      values.push(accuracies(ranks).top1.value);
    }
    results.push({ count, images, top1: meanAccuracy(values, test.rows) });
  }
  return results;
}

/**
 * Ranks of the right classes of test samples by logistic regression with C = 1 on all of the training samples. A class without
 * one has an intercept alone.
 */
export async function ranksByFew(
  engine: Engine,
  train: Samples,
  test: Samples,
  classes: number,
  signal?: AbortSignal,
): Promise<Int32Array> {
  const inputs = standardise(train, 'last');
  for await (const fit of prepareFits(engine, classes, signal)(inputs, [C])) {
    return linearRanks(engine, fit, { ...inputs, samples: test });
  }
  throw new Error('nothing was fitted');
}

/**
 * Numbers of the samples whose labels are known in a draw, class by class. In one draw, fewer lie within more.
 * @param labels of all samples [M]
 */
export function drawLabels(labels: Int32Array, classes: number, count: LabelCount, seed: number, draw: number) {
  const members = Array.from({ length: classes }, (): number[] => []);
  for (const [number, label] of labels.entries()) members[label].push(number);
  return Uint32Array.from(
    members.flatMap((own, label) => {
      const order = new RandomStream(seed, 'few labels', draw, label).permutation(own.length);
      return Array.from(order.subarray(0, labelsOfClass(count, own.length)), (at) => own[at]);
    }),
  );
}

/** How many of a class of so many images: k, or round(fraction n) and at least one; never more than there are. */
export function labelsOfClass(count: LabelCount, images: number): number {
  return Math.min(images, 'shots' in count ? count.shots : Math.max(1, Math.round(count.fraction * images)));
}

/** '5 a class', or '10% of the labels'. */
export function countText(count: LabelCount): string {
  if ('shots' in count) return `${count.shots} a class`;
  return `${Number((100 * count.fraction).toPrecision(6))}% of the labels`;
}
