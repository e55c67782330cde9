import { type EvaluationKind, type EvaluationResult, networkKey, resultKey } from '../eval/results.js';
import type { BenchmarkName, FactName } from '../methods/published.js';
import { printable } from './result-table.js';

type Network = EvaluationResult['network'];

/** A column of text: its heading, and what stands there of a measured network. */
export const FACTS: Readonly<Record<FactName, { heading: string; of: (network: Network) => string }>> = {
  method: { heading: 'Method', of: methodName },
  arch: { heading: 'Arch.', of: archName },
  epochs: { heading: 'Epochs', of: ({ weights, epochs }) => (weights === 'random' ? '0' : `${epochs ?? 'unknown'}`) },
  pretrain: {
    heading: 'Pretrain',
    of: ({ weights, pretrainedOn }) =>
      weights === 'random' ? 'none (random initialisation)' : (pretrainedOn ?? 'unknown'),
  },
};

/** Columns of text of data sets that are not the paper's. */
export const OWN_FACTS = ['method', 'arch', 'epochs'] as const;

/** Images of this side go without saying, as in the paper's tables. */
const USUAL_IMAGE_SIZE = 224;

/**
 * The results of each network. Networks of one architecture stand together in the order in which they came;
 * below them stands the same architecture at random initialisation, each of its results once: it is measured beside every
 * network.
 */
export function networkRows(results: readonly EvaluationResult[]): EvaluationResult[][] {
  return rowsByNetwork(results, resultKey);
}

/**
 * The same for whatever was measured of networks.
 * @param key the same for what was measured twice
 */
export function rowsByNetwork<Result extends Pick<EvaluationResult, 'network' | 'seed' | 'measuredAt'>>(
  results: readonly Result[],
  key: (result: Result) => string,
): Result[][] {
  const isRandom = ({ network }: Result) => network.weights === 'random';
  const random = results.filter(isRandom).sort((a, b) => Date.parse(a.measuredAt) - Date.parse(b.measuredAt));
  const newest = new Map(random.map((result) => [key(result), result]));
  const once = results.filter((result) => !isRandom(result) || newest.get(key(result)) === result);
  const families = groupBy(once, ({ network }) => archName(network));
  return [...families.values()].flatMap((family) => {
    const pretrained = family.filter((result) => !isRandom(result));
    return [...groupBy([...pretrained, ...family.filter(isRandom)], networkKey).values()];
  });
}

/** Results that can be compared are of one task: of the same kind, on the same images. */
export function taskOf({ kind, dataSet, dataDescription, classes, trainImages, testImages }: EvaluationResult): string {
  return JSON.stringify([kind, dataSet, dataDescription, classes, trainImages, testImages]);
}

/** The architecture with its image size where that is not 224, as the paper writes 'ViT-H/16-448'. */
export function archName({ arch, imageSize }: Network): string {
  return printable(imageSize === USUAL_IMAGE_SIZE ? arch : `${arch}-${imageSize}`);
}

export function methodName({ method, encoder }: Network): string {
  if (method === null) return 'random initialisation';
  return printable(encoder === null ? method : `${method} (${encoder} encoder)`);
}

/** How a network came about, for a note. */
export function describeNetwork(network: Network): string {
  const name = `${methodName(network)} ${archName(network)}`;
  const { weights, pretrainedOn, epochs, checkpoint } = network;
  if (weights === 'random') return `${name}: fresh weights of that architecture, without any training`;
  const length = epochs === null ? 'for an unknown time' : `for ${epochs} epochs`;
  const file = checkpoint === null ? '' : `, checkpoint ${checkpoint}`;
  return printable(`${name}: pretrained on ${pretrainedOn ?? 'unknown data'} ${length}${file}`);
}

/**
 * The one of several results of a network on one task that a table shows: the paper's protocol before the quick one,
 * more images before fewer, newer before older. Which is the better one plays no part.
 */
export function chooseResult(results: readonly EvaluationResult[]): EvaluationResult | null {
  const [first = null] = results.toSorted(
    (a, b) =>
      Number(isPapers(b)) - Number(isPapers(a)) ||
      Number(b.protocolName === 'paper') - Number(a.protocolName === 'paper') ||
      b.testImages - a.testImages ||
      b.trainImages - a.trainImages ||
      Date.parse(b.measuredAt) - Date.parse(a.measuredAt),
  );
  return first;
}

/** Whether heads and fine-tuning followed the paper, so that the value may be compared with published ones. */
export function isPapers({ protocolName, fineTuning }: EvaluationResult): boolean {
  return protocolName === 'paper' && (fineTuning === null || fineTuning.protocol === 'paper');
}

export function groupBy<Item>(items: readonly Item[], key: (item: Item) => string): Map<string, Item[]> {
  const groups = new Map<string, Item[]>();
  for (const item of items) groups.set(key(item), [...(groups.get(key(item)) ?? []), item]);
  return groups;
}

/** A benchmark of the field: what a result must have been measured on to stand in its column. */
interface Benchmark {
  kind: EvaluationKind;
  /** As people call it: 'ImageNet-1K, 1%', 'CIFAR100'. */
  title: string;
  /** Names of the data set, in lower case without punctuation. */
  dataSets: readonly string[];
  classes: number;
  /** Images, as the data set's authors publish them. */
  train: number;
  test: number;
  /** How far the training images may be from that number where they are a sample. */
  tolerance?: number;
}

const IMAGENET = { dataSets: ['imagenet', 'imagenet1k', 'in1k'], classes: 1000, test: 50_000 } as const;
const TRANSFER = { kind: 'transfer' } as const;
const CLEVR = { ...TRANSFER, train: 70_000, test: 15_000 } as const;

const BENCHMARKS: Readonly<Record<BenchmarkName, Benchmark>> = {
  imagenet: { ...IMAGENET, kind: 'linear', title: 'ImageNet-1K', train: 1_281_167 },
  // A stratified sample rounds in each class.
  'imagenet-1pct': { ...IMAGENET, kind: 'semi-supervised', title: 'ImageNet-1K, 1%', train: 12_811, tolerance: 500 },
  cifar100: { ...TRANSFER, title: 'CIFAR100', dataSets: ['cifar100'], classes: 100, train: 50_000, test: 10_000 },
  places205: { ...TRANSFER, title: 'Places205', dataSets: ['places205'], classes: 205, train: 2_448_873, test: 20_500 },
  inat18: {
    ...TRANSFER,
    title: 'iNat18',
    dataSets: ['inat18', 'inat2018', 'inaturalist2018'],
    classes: 8142,
    train: 437_513,
    test: 24_426,
  },
  'clevr-count': { ...CLEVR, title: 'Clevr/Count', dataSets: ['clevrcount'], classes: 8 },
  'clevr-dist': { ...CLEVR, title: 'Clevr/Dist', dataSets: ['clevrdist', 'clevrdistance'], classes: 6 },
};

/** The heading of a benchmark's column: tables of ImageNet have one benchmark alone. */
export function benchmarkHeading(name: BenchmarkName): string {
  const { kind, title } = BENCHMARKS[name];
  return kind === 'transfer' ? title : 'Top-1';
}

/** The benchmark that a result is of; null for other data sets, other classes of these, and more labels. */
export function benchmarkOf({ dataSet, kind, classes, trainImages }: EvaluationResult): BenchmarkName | null {
  const name = dataSet.toLowerCase().replaceAll(/:.*|[^a-z0-9]/gs, '');
  const names = Object.keys(BENCHMARKS) as BenchmarkName[];
  const isOf = ({ train, tolerance = 0, ...benchmark }: Benchmark) =>
    benchmark.kind === kind &&
    benchmark.dataSets.includes(name) &&
    benchmark.classes === classes &&
    trainImages <= train + tolerance;
  return names.find((one) => isOf(BENCHMARKS[one])) ?? null;
}

/** What a result lacks of its benchmark's images, for people; null where it has them all, or is of no benchmark. */
export function missingPart(result: EvaluationResult): string | null {
  const { trainImages, testImages } = result;
  const name = benchmarkOf(result);
  if (name === null) return null;
  const { title, train, test, tolerance = 0 } = BENCHMARKS[name];
  if (trainImages >= train - tolerance && testImages >= test) return null;
  const of = (number: number, all: number) => `${thousands(number)} of ${thousands(all)}`;
  return `${title}: ${of(trainImages, train)} training images, ${of(testImages, test)} test images`;
}

/** 1281167 as '1,281,167'. */
export function thousands(number: number): string {
  return number.toLocaleString('en-US');
}
