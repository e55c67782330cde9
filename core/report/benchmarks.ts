import type { EvaluationKind, EvaluationResult } from '../eval/result.js';
import type { BenchmarkName } from '../methods/published.js';

/** A benchmark of the field: what a result must have been measured on to stand in its column. */
interface Benchmark {
  kind: EvaluationKind;
  /** As people call it: 'ImageNet-1K, 1%', 'CIFAR100'. */
  title: string;
  /** Names of the data set, in lower case without punctuation. */
  dataSets: readonly string[];
  classes: number;
  trainImages: number;
  testImages: number;
  /** How far the training images may be from that number where they are a sample. */
  trainTolerance: number;
}

const IMAGENET = { dataSets: ['imagenet', 'imagenet1k', 'in1k'], classes: 1000, testImages: 50_000 } as const;
const CLEVR = { kind: 'transfer', trainImages: 70_000, testImages: 15_000, trainTolerance: 0 } as const;

/** Sizes as the data sets' authors publish them. */
const BENCHMARKS: Readonly<Record<BenchmarkName, Benchmark>> = {
  imagenet: { kind: 'linear', title: 'ImageNet-1K', ...IMAGENET, trainImages: 1_281_167, trainTolerance: 0 },
  // A stratified sample rounds in each of the 1000 classes.
  'imagenet-1pct': {
    ...{ kind: 'semi-supervised', title: 'ImageNet-1K, 1%', ...IMAGENET },
    ...{ trainImages: 12_811, trainTolerance: 500 },
  },
  cifar100: {
    ...{ kind: 'transfer', title: 'CIFAR100', dataSets: ['cifar100'], classes: 100 },
    ...{ trainImages: 50_000, testImages: 10_000, trainTolerance: 0 },
  },
  places205: {
    ...{ kind: 'transfer', title: 'Places205', dataSets: ['places205'], classes: 205 },
    ...{ trainImages: 2_448_873, testImages: 20_500, trainTolerance: 0 },
  },
  inat18: {
    ...{ kind: 'transfer', title: 'iNat18', dataSets: ['inat18', 'inat2018', 'inaturalist2018'], classes: 8142 },
    ...{ trainImages: 437_513, testImages: 24_426, trainTolerance: 0 },
  },
  'clevr-count': { title: 'Clevr/Count', dataSets: ['clevrcount'], classes: 8, ...CLEVR },
  'clevr-dist': { title: 'Clevr/Dist', dataSets: ['clevrdist', 'clevrdistance'], classes: 6, ...CLEVR },
};

/** The heading of a benchmark's column: tables of ImageNet have one benchmark alone. */
export function benchmarkHeading(name: BenchmarkName): string {
  const { kind, title } = BENCHMARKS[name];
  return kind === 'transfer' ? title : 'Top-1';
}

/** The benchmark that a result is of; null for other data sets, other classes of these, and more labels. */
export function benchmarkOf({ dataSet, kind, classes, trainImages }: EvaluationResult): BenchmarkName | null {
  const name = (dataSet.split(':')[0] as string).toLowerCase().replaceAll(/[^a-z0-9]/g, '');
  const found = Object.entries(BENCHMARKS).find(
    ([, benchmark]) =>
      benchmark.kind === kind &&
      benchmark.dataSets.includes(name) &&
      benchmark.classes === classes &&
      trainImages <= benchmark.trainImages + benchmark.trainTolerance,
  );
  return found ? (found[0] as BenchmarkName) : null;
}

/** What a result lacks of its benchmark's images, for people; null where it has them all. */
export function missingPart(name: BenchmarkName, { trainImages, testImages }: EvaluationResult): string | null {
  const whole = BENCHMARKS[name];
  if (trainImages >= whole.trainImages - whole.trainTolerance && testImages >= whole.testImages) return null;
  const of = (number: number, all: number) => `${thousands(number)} of ${thousands(all)}`;
  const training = of(trainImages, whole.trainImages);
  return `${whole.title}: ${training} training images, ${of(testImages, whole.testImages)} test images`;
}

/** 1281167 as '1,281,167'. */
export function thousands(number: number): string {
  return number.toLocaleString('en-US');
}
