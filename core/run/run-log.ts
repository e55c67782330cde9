import { appendFileSync, closeSync, existsSync, openSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { z } from 'zod';
import { writeFileAtomically } from '../base/atomic.js';
import { explainSystemError } from '../base/errors.js';
import { linesOf, tryJson } from '../base/text.js';
import type { Monitor } from '../plugin.js';
import type { MonitorValues } from './monitors.js';
import type { RunFolder } from './run-folder.js';

/** What is logged of each step; every field is a column. */
export interface LogRow {
  /** From 1. */
  epoch: number;
  /** From 1, over the whole run. */
  step: number;
  /** The whole objective. */
  loss: number;
  /** Without the regularizer. */
  predictionLoss: number;
  /** Patches that context and target blocks kept, as means over the images. */
  contextPatches: number;
  targetPatches: number;
  /** Context blocks of the batch that had to be allowed into a target. */
  overlappingContexts: number;
  learningRate: number;
  weightDecay: number;
  /** Of the target encoder's moving average. */
  momentum: number;
  gradientNorm: number;
  /** Mean over features of the standard deviation of the targets over the batch's images. */
  batchDeviation: number;
  imagesPerSecond: number;
  /** How long the step took, with waiting and looking at the watch's images; null in runs of earlier versions. */
  seconds: number | null;
  /** How long the step waited for its images. */
  waitSeconds: number;
  /** Unreadable images so far. */
  skippedImages: number;
  /** Spread of the target features of the watch's fixed images; null on steps at which it did not look. */
  targetDeviation: number | null;
  targetRank: number | null;
  /** By monitor and value; null on steps at which they did not look, left out where no monitor has values. */
  monitors?: MonitorValues | null;
}

/** A monitor's name, and those of its values: columns 'name.value' of log.csv. */
export type MonitorColumns = Pick<Monitor, 'name' | 'values'>;

const COLUMNS = [
  'epoch',
  'step',
  'loss',
  'predictionLoss',
  'contextPatches',
  'targetPatches',
  'overlappingContexts',
  'learningRate',
  'weightDecay',
  'momentum',
  'gradientNorm',
  'batchDeviation',
  'imagesPerSecond',
  'seconds',
  'waitSeconds',
  'skippedImages',
  'targetDeviation',
  'targetRank',
] as const satisfies readonly Column[];
type Column = Exclude<keyof LogRow, 'monitors'>;

/** JSON knows no number that is none: it stands as null. */
const measured = z
  .number()
  .nullable()
  .transform((value) => value ?? Number.NaN);
const looked = z.number().nullable();
const rowSchema: z.ZodType<LogRow> = z.looseObject({
  ...(Object.fromEntries(COLUMNS.map((column) => [column, measured])) as Record<Column, typeof measured>),
  epoch: z.int().min(1),
  step: z.int().min(1),
  seconds: looked.default(null),
  targetDeviation: looked,
  targetRank: looked,
  monitors: z.record(z.string(), z.record(z.string(), looked)).nullable().exactOptional(),
});

/** Appends rows to `log.jsonl` and `log.csv`. */
export interface RunLog {
  append(row: LogRow): void;
  close(): void;
}

/**
 * Opens the logs of a run, cut to the steps up to `lastStep`: what a resumed run does again is not logged twice.
 * @param monitors those whose values are columns of the table
 * @returns the log, and how many of those steps it lacks because its file was damaged
 */
export async function openRunLog(
  folder: RunFolder,
  lastStep: number,
  monitors: readonly MonitorColumns[] = [],
): Promise<{ log: RunLog; missing: number }> {
  const csvLine = (row: LogRow) => csvLineOf(row, monitors);
  const head = [...COLUMNS, ...monitors.flatMap(({ name, values }) => values.map((value) => `${name}.${value}`))];
  const rows = readRunLog(folder).filter(({ step }) => step <= lastStep);
  await writeFileAtomically(folder.log, rows.map(jsonLine).join(''));
  await writeFileAtomically(folder.table, [`${head.join(',')}\n`, ...rows.map(csvLine)].join(''));
  const files = [
    { path: folder.log, file: openSync(folder.log, 'a'), format: jsonLine },
    { path: folder.table, file: openSync(folder.table, 'a'), format: csvLine },
  ];
  const forEachFile = (act: (file: (typeof files)[number]) => void) => {
    for (const file of files) {
      try {
        act(file);
      } catch (error) {
        throw explainSystemError(error, file.path);
      }
    }
  };
  const log: RunLog = {
    append: (row) => forEachFile(({ file, format }) => appendFileSync(file, format(row))),
    close: () => forEachFile(({ file }) => closeSync(file)),
  };
  return { log, missing: lastStep - new Set(rows.map(({ step }) => step)).size };
}

/** The rows of a run's log; lines that were cut off or damaged are left out. */
export function readRunLog(folder: RunFolder): LogRow[] {
  const rows: LogRow[] = [];
  if (existsSync(folder.log)) for (const line of linesOf(folder.log)) rows.push(...parseLine(line));
  return rows;
}

/** How much of a log is read to find its last row. */
const TAIL_BYTES = 64 * 1024;

/** The last row of a run's log, or null where there is none yet; also while the run goes on. Reads its end alone. */
export async function readLastRow(folder: RunFolder): Promise<LogRow | null> {
  const file = await open(folder.log, 'r').catch(() => null);
  if (!file) return null;
  try {
    const { size } = await file.stat();
    const tail = Buffer.alloc(Math.min(size, TAIL_BYTES));
    const { bytesRead } = await file.read(tail, 0, tail.length, size - tail.length);
    return tail.toString('utf8', 0, bytesRead).split('\n').flatMap(parseLine).at(-1) ?? null;
  } catch (error) {
    throw explainSystemError(error, folder.log);
  } finally {
    await file.close();
  }
}

/** The row of a line; none where it was cut off or damaged. */
function parseLine(line: string): LogRow[] {
  const row = rowSchema.safeParse(tryJson(line));
  return row.success ? [row.data] : [];
}

function jsonLine(row: LogRow): string {
  return `${JSON.stringify(row)}\n`;
}

function csvLineOf(row: LogRow, monitors: readonly MonitorColumns[]): string {
  const own = COLUMNS.map((column) => row[column]);
  const watched = monitors.flatMap(({ name, values }) => values.map((value) => row.monitors?.[name]?.[value]));
  return `${[...own, ...watched].map((value) => value ?? '').join(',')}\n`;
}
