import type { EvaluationResult } from './results.js';

/** Classifiers whose predictions results hold. */
export const PREDICTORS = ['head', 'logistic', 'neighbours'] as const;
export type Predictor = (typeof PREDICTORS)[number];

/** For people. */
export const PREDICTOR_NAMES: Readonly<Record<Predictor, string>> = {
  head: 'the chosen linear heads',
  logistic: 'logistic regression',
  neighbours: 'nearest neighbours',
};

/** Two networks on the same test images. */
export interface PairedTest {
  first: EvaluationResult;
  second: EvaluationResult;
  images: number;
  /** Images that the first alone names rightly, and those that the second alone does. */
  onlyFirst: number;
  onlySecond: number;
  /** How probable a difference at least as large is, were both networks right as often. */
  p: number;
}

/**
 * McNemar's exact test (1947): of n = b + c discordant images each is as likely the first's as the second's,
 *
 *   p = min(1, 2 Σ_{i ≤ min(b, c)} binomial(n, i) / 2ⁿ)
 */
export function mcNemar(onlyFirst: number, onlySecond: number): number {
  const discordant = onlyFirst + onlySecond;
  const fewer = Math.min(onlyFirst, onlySecond);
  let log = -discordant * Math.LN2; // of a term, which would be 0 where n is large
  let sum = 0;
  const largest = log + logBinomial(discordant, fewer); // below the middle terms rise
  for (let i = 0; i <= fewer; i++) {
    sum += Math.exp(log - largest);
    log += Math.log((discordant - i) / (i + 1));
  }
  return Math.min(1, 2 * Math.exp(largest) * sum);
}

function logBinomial(n: number, k: number): number {
  let log = 0;
  for (let i = 1; i <= k; i++) log += Math.log((n - k + i) / i);
  return log;
}

/** How many images of each class a network names rightly. */
export interface ClassCounts {
  result: EvaluationResult;
  /** By number of the class, of those with test images. */
  classes: { number: number; images: number; right: number }[];
}

/** By class, of all results that hold predictions by a classifier. */
export function classCounts(results: readonly EvaluationResult[], by: Predictor): ClassCounts[] {
  return results.flatMap((result) => {
    const { predictions } = result;
    const named = predictions?.[by]?.split(' ');
    if (!predictions || !named) return [];
    const counts = new Map<number, { number: number; images: number; right: number }>();
    for (const [image, label] of predictions.labels.split(' ').entries()) {
      const number = Number(label);
      const { images, right } = counts.get(number) ?? { images: 0, right: 0 };
      counts.set(number, { number, images: images + 1, right: right + Number(named[image] === label) });
    }
    return [{ result, classes: [...counts.values()].sort((a, b) => a.number - b.number) }];
  });
}

/** Every two results whose predictions by a classifier are of the same test images, in their order. */
export function pairedTests(results: readonly EvaluationResult[], by: Predictor): PairedTest[] {
  const known = results.flatMap((result) => {
    const { predictions } = result;
    const named = predictions?.[by];
    if (!predictions || !named) return [];
    const labels = predictions.labels.split(' ');
    const isRight = named.split(' ').map((name, at) => name === labels[at]);
    return [{ result, isRight, of: `${result.dataSet} ${predictions.images} ${predictions.labels}` }];
  });
  return known.flatMap((one, at) =>
    known
      .slice(at + 1)
      .filter(({ of }) => of === one.of)
      .map((other) => {
        const onlyFirst = one.isRight.filter((right, image) => right && !other.isRight[image]).length;
        const onlySecond = other.isRight.filter((right, image) => right && !one.isRight[image]).length;
        const p = mcNemar(onlyFirst, onlySecond);
        return { first: one.result, second: other.result, images: one.isRight.length, onlyFirst, onlySecond, p };
      }),
  );
}
