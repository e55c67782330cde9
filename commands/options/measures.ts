import { UserError } from '../../core/base/errors.js';
import { flag, grouped, integer, number, text, type ValuesOf, words } from '../../core/config/option.js';
import type { LabelledImages } from '../../core/contract/data-sets.js';
import type { LabelCount } from '../../core/eval/few-labels.js';
import type { Measures } from '../../core/eval/measures.js';
import { USUAL_VOTING, type Voting } from '../../core/eval/protocols.js';

/* Ways to judge features beside linear heads. */

export const VOTING_OPTIONS = grouped('Protocol', {
  neighbours: words({
    default: USUAL_VOTING.ks.map(String),
    help: 'numbers of nearest neighbours that vote, each for itself, with commas between',
  }),
  knnTemperature: number({
    default: USUAL_VOTING.temperature,
    min: 0,
    open: true,
    help: 'T of their votes: a similarity s weighs exp(s / T)',
  }),
});

export const MEASURE_OPTIONS = grouped('Protocol', {
  shots: words({
    what: 'numbers',
    help: 'logistic regression on so many labelled images of each class, too, with commas between: 1,2,5',
  }),
  labelFraction: words({
    what: 'parts',
    help: 'logistic regression on such parts of the labels of each class, too, with commas between: 1%,10%',
  }),
  draws: integer({ default: 10, min: 1, max: 1000, help: 'how often these images are drawn anew; the mean is told' }),
  seeds: integer({
    default: 1,
    min: 1,
    max: 100,
    help: 'seeds with which heads are trained and chosen, counted from --seed; mean and deviation are told, too',
  }),
  lidarViews: integer({
    default: 0,
    min: 0,
    max: 100,
    help: 'random crops of up to 1,000 training images, from which LiDAR is computed; 0: none',
  }),
  attentive: flag('train a probe with a block of cross-attention on the patch tokens, too (V-JEPA)'),
  segmentation: text({
    optional: true,
    what: 'folder',
    help: 'tell the class of pixels from patch tokens, alone or beside --data: a folder with images and masks below it',
  }),
});

/**
 * What else is to be measured.
 * @throws UserError for numbers that are none, or cannot be
 */
export function measuresOf({
  shots,
  labelFraction,
  draws,
  seeds,
  lidarViews,
  attentive,
}: Omit<ValuesOf<typeof MEASURE_OPTIONS>, 'segmentation'>): Omit<Measures, 'segmentation'> {
  if (lidarViews === 1) {
    throw new UserError('--lidar-views cannot be 1: LiDAR compares views of an image', { expected: '0, or 2 to 100' });
  }
  const counts: LabelCount[] = [
    ...wholeNumbers('--shots', shots).map((one) => ({ shots: one })),
    ...labelFraction.map((word) => ({ fraction: fractionOf('--label-fraction', word) })),
  ];
  return { fewLabels: counts.length === 0 ? null : { counts, draws }, lidarViews, seeds, attentive };
}

/** @throws UserError where a class has fewer training images than are to be drawn of it */
export function requireShots(
  { fewLabels }: Pick<Measures, 'fewLabels'>,
  images: LabelledImages,
  classes: readonly string[],
): void {
  const shots = Math.max(0, ...(fewLabels?.counts ?? []).map((count) => ('shots' in count ? count.shots : 0)));
  const sizes = Array<number>(classes.length).fill(0);
  for (let image = 0; image < images.length; image++) sizes[images.classOf(image)] += 1;
  const small = sizes.findIndex((size) => size < shots);
  if (small < 0) return;
  throw new UserError(`--shots ${shots}: class ${classes[small]} has ${sizes[small]} training images`, {
    expected: 'at least as many of each class',
    remedy: `ask for ${Math.min(...sizes)} at most, or for a part with --label-fraction`,
  });
}

/** '10%' or '0.1' as 0.1. @throws UserError for what is no part */
export function fractionOf(flag: string, word: string): number {
  const value = /^[\d.]+%$/.test(word) ? Number(word.slice(0, -1)) / 100 : Number(word);
  if (value > 0 && value <= 1) return value;
  throw new UserError(`${flag} cannot be '${word}'`, {
    expected: 'parts up to 100%, such as 1%,10% or 0.01,0.1',
  });
}

/**
 * How neighbours vote.
 * @throws UserError for numbers that are none
 */
export function votingOf({ neighbours, knnTemperature }: ValuesOf<typeof VOTING_OPTIONS>): Voting {
  return { ks: wholeNumbers('--neighbours', neighbours), temperature: knnTemperature };
}

/** @throws UserError where one of some words is no whole number from 1 on */
function wholeNumbers(flag: string, given: readonly string[]): number[] {
  const numbers = given.map(Number);
  if (numbers.every((one) => Number.isSafeInteger(one) && one >= 1)) return [...new Set(numbers)];
  throw new UserError(`${flag} cannot be '${given.join(',')}'`, {
    expected: 'whole numbers from 1 on, such as 1,5,20',
  });
}
