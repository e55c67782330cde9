import type { EvaluationKind, EvaluationResult } from '../eval/result.js';
import type { TaskName } from './published.js';

/** A task of the paper: what a result must have been measured on to stand in its column. */
interface PaperTask {
  /** The column's heading. */
  heading: string;
  kind: EvaluationKind;
  /** Names of the data set, in lower case without punctuation. */
  dataSets: readonly string[];
  classes: number;
  trainImages: number;
  testImages: number;
  /** How far the training images may be from that number where they are a sample. */
  trainTolerance?: number;
}

const IMAGENET = { dataSets: ['imagenet', 'imagenet1k', 'in1k'], classes: 1000, testImages: 50_000 } as const;
const CLEVR = { kind: 'transfer', trainImages: 70_000, testImages: 15_000 } as const;

/** Sizes as the data sets' authors publish them. */
export const PAPER_TASKS: Readonly<Record<TaskName, PaperTask>> = {
  imagenet: { heading: 'Top-1', kind: 'linear', ...IMAGENET, trainImages: 1_281_167 },
  // A stratified sample rounds in each of the 1000 classes.
  'imagenet-1pct': {
    heading: 'Top-1',
    kind: 'semi-supervised',
    ...IMAGENET,
    trainImages: 12_811,
    trainTolerance: 500,
  },
  cifar100: {
    heading: 'CIFAR100',
    kind: 'transfer',
    dataSets: ['cifar100'],
    classes: 100,
    trainImages: 50_000,
    testImages: 10_000,
  },
  places205: {
    heading: 'Places205',
    kind: 'transfer',
    dataSets: ['places205'],
    classes: 205,
    trainImages: 2_448_873,
    testImages: 20_500,
  },
  inat18: {
    heading: 'iNat18',
    kind: 'transfer',
    dataSets: ['inat18', 'inat2018', 'inaturalist2018'],
    classes: 8142,
    trainImages: 437_513,
    testImages: 24_426,
  },
  'clevr-count': { heading: 'Clevr/Count', dataSets: ['clevrcount'], classes: 8, ...CLEVR },
  'clevr-dist': { heading: 'Clevr/Dist', dataSets: ['clevrdist', 'clevrdistance'], classes: 6, ...CLEVR },
};

/**
 * The task of the paper that a result is of; null for other data sets, and for the paper's with other classes or more
 * labels.
 */
export function paperTask(result: EvaluationResult): TaskName | null {
  const name = (result.dataSet.split(':')[0] as string).toLowerCase().replaceAll(/[^a-z0-9]/g, '');
  const found = Object.entries(PAPER_TASKS).find(
    ([, task]) =>
      task.kind === result.kind &&
      task.dataSets.includes(name) &&
      task.classes === result.classes &&
      result.trainImages <= task.trainImages + (task.trainTolerance ?? 0),
  );
  return found ? (found[0] as TaskName) : null;
}

/** What a result lacks of its task's images, for people; null where it has them all. */
export function missingPart(task: TaskName, { trainImages, testImages }: EvaluationResult): string | null {
  const whole = PAPER_TASKS[task];
  const fewestTrained = whole.trainImages - (whole.trainTolerance ?? 0);
  if (trainImages >= fewestTrained && testImages >= whole.testImages) return null;
  const of = (number: number, all: number) => `${thousands(number)} of ${thousands(all)}`;
  const training = of(trainImages, whole.trainImages);
  return `${taskName(task)}: ${training} training images, ${of(testImages, whole.testImages)} test images`;
}

/** A task as people call it: 'ImageNet-1K, 1%', 'CIFAR100'. */
export function taskName(task: TaskName): string {
  if (task === 'imagenet') return 'ImageNet-1K';
  if (task === 'imagenet-1pct') return 'ImageNet-1K, 1%';
  return PAPER_TASKS[task].heading;
}

/** 1281167 as '1,281,167'. */
export function thousands(number: number): string {
  return number.toLocaleString('en-US');
}
