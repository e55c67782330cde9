import { count } from '../base/console.js';
import {
  columnNotes,
  type EngineFacts,
  type FailedRun,
  type JudgedRow,
  type JudgedRun,
  judgedRows,
  judgedTable,
  type Probed,
  verdictWords,
  warningsOf,
} from './judged-rows.js';
import { thousands } from './network-rows.js';
import { printable, type ResultTable } from './result-table.js';

/** Trials of a sweep, and what has come of them so far. */
export interface Sweep {
  dataSet: string;
  data: { train: string; test: string; classes: number; trainImages: number; testImages: number };
  seeds: number;
  /** By what rows are sorted. */
  measure: 'logistic' | 'neighbours';
  trials: readonly {
    name: string;
    title: string;
    values: Readonly<Record<string, unknown>>;
    epochs: number;
    /** In words. */
    objective: string;
  }[];
  engine: EngineFacts;
  runs: readonly JudgedRun[];
  failed: readonly FailedRun[];
  random: readonly { seed: number; probed: Probed }[];
  pixels: Probed;
}

/**
 * Trials that have a run, the best mean first and those of which a run failed after all others; then random weights of each
 * architecture, then pixels.
 */
export function sweepRows(sweep: Sweep): JudgedRow[] {
  const { trials, runs, failed, random, pixels, data, measure, seeds } = sweep;
  const begun = trials.filter(({ name }) => [...runs, ...failed].some((run) => run.name === name));
  const rows = judgedRows({ groups: begun, runs, random, pixels, testImages: data.testImages }, (trial, own, row) =>
    [
      trial.objective,
      ...(own.length < seeds ? [`${own.length} of ${count(seeds, 'seed')}`] : []),
      ...failuresOf(sweep, trial.name).map(({ seed, reason }) => `seed ${seed} failed: ${reason}`),
      ...warningsOf(own, row, trial.epochs),
    ].join('; '),
  );
  const isTrained = ({ name }: JudgedRow) => name !== null;
  const hasFailed = ({ name }: JudgedRow) => Number(failuresOf(sweep, name).length > 0);
  const meanOf = (row: JudgedRow) => row[measure]?.value ?? -1;
  const sorted = rows.filter(isTrained).sort((a, b) => hasFailed(a) - hasFailed(b) || meanOf(b) - meanOf(a)); // of equal ones the first that was asked for
  return [...sorted, ...rows.filter((row) => !isTrained(row))];
}

/** The trial whose mean is the best, of those of which no run failed; null where there is none. */
export function bestTrial(sweep: Sweep): string | null {
  const [best] = sweepRows(sweep);
  const isJudged = best && best[sweep.measure] !== null && failuresOf(sweep, best.name).length === 0;
  return isJudged ? best.name : null;
}

/** The sweep as a table. */
export function sweepTable(sweep: Sweep): ResultTable {
  const { data, dataSet, seeds, measure, pixels, runs, engine } = sweep;
  const images = `${thousands(data.trainImages)} training and ${thousands(data.testImages)} test images`;
  return judgedTable(sweepRows(sweep), {
    name: 'sweep',
    title: `${dataSet}, a sweep: ${data.classes} classes, ${images}; percent top-1`,
    first: 'Trial',
    verdict: (row) => {
      const failures = failuresOf(sweep, row.name).length;
      const failed = `failed${failures < seeds ? ` (${failures} of ${seeds})` : ''}`;
      const words = verdictWords(row, seeds);
      return failures === 0 ? words : words === '–' ? failed : `${words}, ${failed}`;
    },
    notes: [
      `Judged on ${printable(data.train)} and ${printable(data.test)}; sorted by ${measure === 'logistic' ? 'logistic regression' : 'nearest neighbours'}. ` +
        'The best of many trials on the same test images looks better than it is: judge it once more on others.',
      ...columnNotes(runs, seeds, pixels.k, engine),
    ],
  });
}

function failuresOf({ failed }: Sweep, name: string | null): readonly FailedRun[] {
  return failed.filter((run) => run.name === name);
}
