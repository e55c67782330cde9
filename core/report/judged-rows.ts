import { count, formatDuration } from '../base/console.js';
import { type MeanAccuracy, meanAccuracy } from '../eval/accuracy.js';
import { groupBy } from './network-rows.js';
import { figureCell, markBest, printable, type ResultRow, type ResultTable, textCell } from './result-table.js';

/*
 * Runs that were trained and judged alike, as rows of a table.
 */

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
  /** Of its method or trial. */
  name: string;
  seed: number;
  epochs: number;
  /** Of all its steps; null where its log does not tell. */
  seconds: number | null;
  /** Of the monitors that give some, by their names. */
  verdicts: Readonly<Record<string, { isWell: boolean; text: string }>>;
  probed: Probed;
}

/** A run that could not be trained or judged. */
export interface FailedRun {
  name: string;
  seed: number;
  reason: string;
}

export type EngineFacts = { name: string; version: string; device: string; threads: number };

/** A method or trial over its seeds, or random weights. */
export interface JudgedRow {
  title: string;
  /** Null for random weights and pixels. */
  name: string | null;
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

/** Runs over their seeds, and what they are held against. */
export interface JudgedRuns<Group extends { name: string; title: string; epochs: number }> {
  groups: readonly Group[];
  runs: readonly JudgedRun[];
  random: readonly { seed: number; probed: Probed }[];
  pixels: Probed;
  testImages: number;
}

/** Groups in their order, then random weights of each architecture, then pixels. */
export function judgedRows<Group extends { name: string; title: string; epochs: number }>(
  { groups, runs, random, pixels, testImages }: JudgedRuns<Group>,
  noteOf: (group: Group, own: readonly JudgedRun[], row: Pick<JudgedRow, 'gain' | 'bad'>) => string,
): JudgedRow[] {
  const mean = (probed: readonly Probed[], of: 'logistic' | 'neighbours') => {
    const values = probed.flatMap((one) => one[of] ?? []);
    return values.length === 0 ? null : meanAccuracy(values, testImages);
  };
  const accuraciesOf = (probed: readonly Probed[]) => {
    const { pooling, arch } = probed[0] ?? { pooling: '–', arch: '–' };
    return { pooling, arch, logistic: mean(probed, 'logistic'), neighbours: mean(probed, 'neighbours') };
  };
  const runsOf = ({ name }: Group) => runs.filter((run) => run.name === name);
  const trained = groups.map((group): JudgedRow => {
    const own = runsOf(group);
    const accuracies = accuraciesOf(own.map(({ probed }) => probed));
    const isSame = ({ seed, probed }: (typeof random)[number]) =>
      own.some((run) => run.seed === seed && run.probed.architecture === probed.architecture);
    const fresh = mean(
      random.filter(isSame).map(({ probed }) => probed),
      'logistic',
    );
    const gain = accuracies.logistic && fresh ? accuracies.logistic.value - fresh.value : null;
    const times = own.flatMap(({ seconds }) => seconds ?? []);
    const seconds = times.length === 0 ? null : times.reduce((sum, time) => sum + time, 0) / times.length;
    const { title, name, epochs } = group;
    const row = { title, name, epochs, seconds, gain, bad: badOf(own) };
    return { ...row, ...accuracies, note: noteOf(group, own, row) };
  });
  const untrained = groupBy(
    random.map(({ probed }) => probed),
    ({ architecture }) => architecture,
  );
  const nothing = { name: null, seconds: null, gain: null, bad: {} };
  const fresh = [...untrained].map(([architecture, probed]): JudgedRow => {
    const isOf = (group: Group) => runsOf(group).some((run) => run.probed.architecture === architecture);
    const of = groups.filter(isOf).map(({ title }) => title);
    const whose =
      of.length === groups.length && of.length > 1
        ? 'all rows above'
        : of.join(of.some((title) => title.includes(',')) ? '; ' : ', ');
    const note = `the encoder of ${whose}, with fresh weights of the same seeds`;
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

/** Where a row is below random weights, whether the verdict explains that; and verdicts that are bad. */
export function warningsOf(
  runs: readonly JudgedRun[],
  { gain, bad }: Pick<JudgedRow, 'gain' | 'bad'>,
  epochs: number,
): string[] {
  const isBad = Object.values(bad).some((count) => count > 0);
  const below = `logistic regression is below that on random weights`;
  const why = isBad ? `${below}; see the verdict` : `${below}, not collapsed: ${count(epochs, 'epoch')} may be too few`;
  const verdicts = runs.flatMap(({ seed, verdicts }) =>
    Object.values(verdicts).flatMap(({ isWell, text }) => (isWell ? [] : [`seed ${seed}: ${text}`])),
  );
  return [...(gain !== null && gain < 0 ? [why] : []), ...verdicts];
}

/** Rows as a table. What was not trained is never the best. */
export function judgedTable(
  rows: readonly JudgedRow[],
  about: Pick<ResultTable, 'name' | 'title' | 'notes'> & { first: string; verdict: (row: JudgedRow) => string },
): ResultTable {
  const drawn = rows.map((row, at): ResultRow & { isTrained: boolean } => ({
    source: 'measured',
    isTrained: row.name !== null,
    cells: [
      textCell(row.title),
      textCell(row.pooling),
      textCell(row.epochs ?? '–'),
      textCell(row.seconds === null ? '–' : formatDuration(row.seconds)),
      ...[row.logistic, row.neighbours].map((accuracy) => accuracy && figureCell(accuracy)),
      textCell(gainWords(row)),
      textCell(row.name === null ? '–' : about.verdict(row)),
    ],
    note: { number: at + 1, text: printable(`${row.note}.`) },
  }));
  const groupOf = (trained: boolean) => ({ title: null, rows: drawn.filter(({ isTrained }) => isTrained === trained) });
  return {
    name: about.name,
    title: printable(about.title),
    columns: [
      ...[about.first, 'Features', 'Epochs', 'Time'].map((name) => ({ name, kind: 'text' as const })),
      ...['Logistic', 'kNN'].map((name) => ({ name, kind: 'figure' as const })),
      ...['Above random', 'Verdict'].map((name) => ({ name, kind: 'text' as const })),
    ],
    groups: [...markBest([groupOf(true)], () => true), groupOf(false)],
    notes: about.notes,
  };
}

/** What has to be known of the columns. */
export function columnNotes(
  runs: readonly Pick<JudgedRun, 'probed'>[],
  seeds: number,
  k: number | null,
  engine: EngineFacts,
) {
  const features = new Set(runs.map(({ probed }) => probed.features).filter((one) => one !== null));
  const over =
    seeds === 1 ? 'One seed: another one gives other values.' : `Means over ${seeds} seeds ± their standard deviation.`;
  return [
    `${over} Followed by the 95% interval over the test images (Wilson's), which all seeds share.`,
    `Logistic: on frozen features; layers (${[...features].join(', ')}) and C were chosen on held-out training images.` +
      (k === null
        ? ''
        : ` kNN: k = ${k} nearest neighbours of the last layer's features; those of raw pixels by the pixels.`),
    'Above random: points of logistic regression above random weights of the same architecture.',
    `Time: of a run's steps, in the mean; ${engine.name} ${engine.version}, threads: ${engine.threads}.`,
  ];
}

/** '+8.3', '-1.2' */
function gainWords({ gain, name }: JudgedRow): string {
  if (name === null || gain === null) return '–';
  return gain < 0 ? gain.toFixed(1) : `+${gain.toFixed(1)}`;
}

/**
 * 'no collapse', 'collapse!', or 'collapse! (1 of 3)', by the names of the monitors that gave verdicts; and, where none of
 * them explains it, that a row is below random weights: a network can lose what random weights have, and keep its pictures apart.
 */
export function verdictWords({ bad, gain }: JudgedRow, seeds: number): string {
  const words = Object.entries(bad).map(([monitor, count]) => {
    if (count === 0) return `no ${monitor}`;
    return `${monitor}!${count < seeds ? ` (${count} of ${seeds})` : ''}`;
  });
  const isUnexplained = gain !== null && gain < 0 && Object.values(bad).every((count) => count === 0);
  return [...words, ...(isUnexplained ? ['below random weights'] : [])].join(', ') || '–';
}
