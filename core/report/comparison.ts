import { count, formatDuration } from '../base/console.js';
import { type MeanAccuracy, meanAccuracy } from '../eval/accuracy.js';
import { groupBy, thousands } from './network-rows.js';
import { figureCell, markBest, printable, type ResultRow, type ResultTable, textCell } from './result-table.js';

/** What was measured of a frozen encoder, or of pixels: percent top-1; null where it was not. */
export interface Probed {
  logistic: number | null;
  /** What logistic regression saw: of the last layer, or the last four. */
  features: string | null;
  neighbours: number | null;
  /** How many neighbours voted. */
  k: number | null;
  /** What of its tokens features are made of. */
  pooling: string;
  arch: string;
  /** The same for all encoders of the same sizes and features. */
  architecture: string;
}

/** A run that was trained and judged. */
export interface JudgedRun {
  /** The method's name. */
  method: string;
  seed: number;
  epochs: number;
  /** Of all its steps; null where its log does not tell. */
  seconds: number | null;
  /** Of the monitors that give some, by their names. */
  verdicts: Readonly<Record<string, { isWell: boolean; text: string }>>;
  probed: Probed;
}

/** Methods that were trained on the same images with the same backbone for the same time, and what came of it. */
export interface Comparison {
  dataSet: string;
  data: { train: string; test: string; classes: number; trainImages: number; testImages: number };
  asked: { seeds: number; budget: string | null; batchSize: number };
  stepsPerEpoch: number;
  methods: readonly {
    name: string;
    title: string;
    /** In words. */
    objective: string;
    epochs: number;
    preset: string | null;
    secondsPerStep: number | null;
  }[];
  engine: { name: string; version: string; device: string; threads: number };
  runs: readonly JudgedRun[];
  /** Random weights of each architecture and seed. */
  random: readonly { seed: number; probed: Probed }[];
  pixels: Probed;
}

/** A method over its seeds, or random weights. */
export interface ComparisonRow {
  title: string;
  /** The name of the method; null for random weights and pixels. */
  method: string | null;
  pooling: string;
  arch: string;
  epochs: number | null;
  /** Mean over the seeds. */
  seconds: number | null;
  logistic: MeanAccuracy | null;
  neighbours: MeanAccuracy | null;
  /** Logistic regression above random weights of the same architecture and seeds, in points. */
  gain: number | null;
  /** Monitors whose verdict is bad, with how many seeds; none of methods that have none. */
  bad: Readonly<Record<string, number>>;
  /** What has to be known of it. */
  note: string;
}

const COLUMNS: ResultTable['columns'] = [
  ...['Method', 'Features', 'Epochs', 'Time'].map((name) => ({ name, kind: 'text' as const })),
  ...['Logistic', 'kNN'].map((name) => ({ name, kind: 'figure' as const })),
  ...['Above random', 'Verdict'].map((name) => ({ name, kind: 'text' as const })),
];

/** Methods in the order in which they were asked for, then random weights of each architecture, then pixels. */
export function comparisonRows(comparison: Comparison): ComparisonRow[] {
  const { methods, runs, random, pixels, data } = comparison;
  const mean = (probed: readonly Probed[], of: 'logistic' | 'neighbours') => {
    const values = probed.flatMap((one) => one[of] ?? []);
    return values.length === 0 ? null : meanAccuracy(values, data.testImages);
  };
  const accuraciesOf = (probed: readonly Probed[]) => {
    const [{ pooling, arch }] = probed;
    return { pooling, arch, logistic: mean(probed, 'logistic'), neighbours: mean(probed, 'neighbours') };
  };
  const untrained = groupBy(
    random.map(({ probed }) => probed),
    ({ architecture }) => architecture,
  );
  const trained = methods.map((method): ComparisonRow => {
    const own = runs.filter((run) => run.method === method.name);
    const accuracies = accuraciesOf(own.map(({ probed }) => probed));
    const fresh = mean(untrained.get(own[0].probed.architecture) ?? [], 'logistic');
    const gain = accuracies.logistic && fresh ? accuracies.logistic.value - fresh.value : null;
    const times = own.flatMap(({ seconds }) => seconds ?? []);
    const seconds = times.length === 0 ? null : times.reduce((sum, time) => sum + time, 0) / times.length;
    const row = { title: method.title, method: method.name, epochs: method.epochs, seconds, gain, bad: badOf(own) };
    return { ...row, ...accuracies, note: methodNote(comparison, method, own, row) };
  });
  const isOf = (architecture: string) => (method: Comparison['methods'][number]) =>
    runs.some((run) => run.method === method.name && run.probed.architecture === architecture);
  const nothing = { method: null, seconds: null, gain: null, bad: {} };
  const fresh = [...untrained].map(([architecture, probed]): ComparisonRow => {
    const of = methods.filter(isOf(architecture)).map(({ title }) => title);
    const note = `the encoder of ${of.join(', ')}, with fresh weights of the same seeds`;
    return { ...nothing, title: 'random initialisation', epochs: 0, ...accuraciesOf(probed), note };
  });
  const ofPixels = { title: 'raw pixels', epochs: null, ...accuraciesOf([pixels]), note: 'without any network' };
  return [...trained, ...fresh, { ...nothing, ...ofPixels }];
}

function badOf(runs: readonly JudgedRun[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { verdicts } of runs) {
    for (const [monitor, { isWell }] of Object.entries(verdicts)) {
      counts[monitor] = (counts[monitor] ?? 0) + Number(!isWell);
    }
  }
  return counts;
}

/** How a method was trained; where it is below random weights, whether the verdict explains that. */
function methodNote(
  { stepsPerEpoch }: Comparison,
  { objective, preset, epochs }: Comparison['methods'][number],
  runs: readonly JudgedRun[],
  { gain, bad }: Pick<ComparisonRow, 'gain' | 'bad'>,
): string {
  const settings = preset === null ? 'defaults of the method' : `preset ${preset}`;
  const length = `${count(epochs, 'epoch')} of ${count(stepsPerEpoch, 'step')}`;
  const isBad = Object.values(bad).some((count) => count > 0);
  const below = `logistic regression is below that on random weights`;
  const why = isBad ? `${below}; see the verdict` : `${below}, not collapsed: ${count(epochs, 'epoch')} may be too few`;
  const verdict = runs.flatMap(({ seed, verdicts }) =>
    Object.values(verdicts).flatMap(({ isWell, text }) => (isWell ? [] : [`seed ${seed}: ${text}`])),
  );
  return [`${settings}: ${objective}; ${length}`, ...(gain !== null && gain < 0 ? [why] : []), ...verdict].join('; ');
}

/** The comparison as a table. */
export function comparisonTable(comparison: Comparison): ResultTable {
  const { data, dataSet, asked, pixels, runs } = comparison;
  const rows = comparisonRows(comparison).map((row, at): ResultRow & { isTrained: boolean } => ({
    source: 'measured',
    isTrained: row.method !== null,
    cells: [
      textCell(row.title),
      textCell(row.pooling),
      textCell(row.epochs ?? '–'),
      textCell(row.seconds === null ? '–' : formatDuration(row.seconds)),
      ...[row.logistic, row.neighbours].map((accuracy) => accuracy && figureCell(accuracy)),
      textCell(gainWords(row)),
      textCell(verdictWords(row, asked.seeds)),
    ],
    note: { number: at + 1, text: printable(`${row.note}.`) },
  }));
  const images = `${thousands(data.trainImages)} training and ${thousands(data.testImages)} test images`;
  const groupOf = (trained: boolean) => ({ title: null, rows: rows.filter(({ isTrained }) => isTrained === trained) });
  const features = new Set(runs.map(({ probed }) => probed.features).filter((one) => one !== null));
  return {
    name: 'comparison',
    title: printable(`${dataSet}, methods compared: ${data.classes} classes, ${images}; percent top-1`),
    columns: COLUMNS,
    groups: [...markBest([groupOf(true)], () => true), groupOf(false)], // what was not trained is never the best
    notes: notesOf(comparison, [...features], pixels.k),
  };
}

function notesOf({ data, asked, runs, engine }: Comparison, features: readonly string[], k: number | null): string[] {
  const { seeds, budget, batchSize } = asked;
  const arch = [...new Set(runs.map(({ probed }) => probed.arch))].join(', ');
  const over =
    seeds === 1 ? 'One seed: another one gives other values.' : `Means over ${seeds} seeds ± their standard deviation.`;
  const same = `the same images, backbone (${arch}) and batches of ${batchSize}`;
  return [
    `Trained without labels on ${printable(data.train)}, judged on ${printable(data.test)}: ${same}${budget === null ? '' : `, and ${budget} of training for each run`}. ` +
      'Crops, augmentations, optimiser and rates are those of each method.',
    `${over} Followed by the 95% interval over the test images (Wilson's), which all seeds share.`,
    `Logistic: on frozen features; layers (${features.join(', ')}) and C were chosen on held-out training images.` +
      (k === null
        ? ''
        : ` kNN: k = ${k} nearest neighbours of the last layer's features; those of raw pixels by the pixels.`),
    'Above random: points of logistic regression above random weights of the same architecture.',
    `Time: of a run's steps, in the mean; ${engine.name} ${engine.version}, threads: ${engine.threads}.`,
  ];
}

/** '+8.3', '-1.2 (below)' */
function gainWords({ gain, method }: ComparisonRow): string {
  if (method === null || gain === null) return '–';
  return gain < 0 ? `${gain.toFixed(1)} (below)` : `+${gain.toFixed(1)}`;
}

/** 'no collapse', 'collapse!', or 'collapse! (1 of 3)', by the names of the monitors that gave verdicts. */
function verdictWords({ bad, method }: ComparisonRow, seeds: number): string {
  if (method === null) return '–';
  const words = Object.entries(bad).map(([monitor, count]) => {
    if (count === 0) return `no ${monitor}`;
    return `${monitor}!${count < seeds ? ` (${count} of ${seeds})` : ''}`;
  });
  return words.join(', ') || '–';
}
