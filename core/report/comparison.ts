import { count } from '../base/console.js';
import {
  columnNotes,
  type EngineFacts,
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
  engine: EngineFacts;
  /** By the names of methods. */
  runs: readonly (Omit<JudgedRun, 'name'> & { method: string })[];
  /** Random weights of each architecture and seed. */
  random: readonly { seed: number; probed: Probed }[];
  pixels: Probed;
}

/** A method over its seeds, or random weights. */
export type ComparisonRow = Omit<JudgedRow, 'name'> & { method: string | null };

/** Methods in the order in which they were asked for, then random weights of each architecture, then pixels. */
export function comparisonRows(comparison: Comparison): ComparisonRow[] {
  const { methods, random, pixels, data } = comparison;
  const runs = comparison.runs.map(({ method, ...run }) => ({ name: method, ...run }));
  const judged = { groups: methods, runs, random, pixels, testImages: data.testImages };
  const noteOf = (
    method: Comparison['methods'][number],
    own: readonly JudgedRun[],
    row: Pick<JudgedRow, 'gain' | 'bad'>,
  ) => methodNote(comparison, method, own, row);
  return judgedRows(judged, noteOf).map(({ title, name, ...row }) => ({ title, method: name, ...row }));
}

/** How a method was trained, and what to beware of. */
function methodNote(
  { stepsPerEpoch }: Comparison,
  { objective, preset, epochs }: Comparison['methods'][number],
  runs: readonly JudgedRun[],
  row: Pick<JudgedRow, 'gain' | 'bad'>,
): string {
  const settings = preset === null ? 'defaults of the method' : `preset ${preset}`;
  const length = `${count(epochs, 'epoch')} of ${count(stepsPerEpoch, 'step')}`;
  return [`${settings}: ${objective}; ${length}`, ...warningsOf(runs, row, epochs)].join('; ');
}

/** The comparison as a table. */
export function comparisonTable(comparison: Comparison): ResultTable {
  const { data, dataSet, asked } = comparison;
  const rows = comparisonRows(comparison).map(({ method, ...row }) => ({ ...row, name: method }));
  const images = `${thousands(data.trainImages)} training and ${thousands(data.testImages)} test images`;
  return judgedTable(rows, {
    name: 'comparison',
    title: `${dataSet}, methods compared: ${data.classes} classes, ${images}; percent top-1`,
    first: 'Method',
    verdict: (row) => verdictWords(row, asked.seeds),
    notes: notesOf(comparison),
  });
}

function notesOf({ data, asked, runs, pixels, engine }: Comparison): string[] {
  const { seeds, budget, batchSize } = asked;
  const arch = [...new Set(runs.map(({ probed }) => probed.arch))].join(', ');
  const same = `the same images, backbone (${arch}) and batches of ${batchSize}`;
  return [
    `Trained without labels on ${printable(data.train)}, judged on ${printable(data.test)}: ${same}${budget === null ? '' : `, and ${budget} of training for each run`}. ` +
      'Crops, augmentations, optimiser and rates are those of each method.',
    ...columnNotes(runs, seeds, pixels.k, engine),
  ];
}
