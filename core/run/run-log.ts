import { appendFileSync, closeSync, existsSync, openSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { z } from 'zod';
import { writeFileAtomically } from '../base/atomic.js';
import { explainSystemError } from '../base/errors.js';
import { linesOf, tryJson } from '../base/text.js';
import type { Monitor } from '../contract/monitors.js';
import type { EvaluationResult } from '../eval/results.js';
import { probeResultSchema } from './probing.js';
import { type RunFolder, runFolder } from './run-folder.js';

/** JSON has no NaN: it stands as null. */
const measured = z
  .number()
  .nullable()
  .transform((value) => value ?? Number.NaN);
const numbers = z.record(z.string(), measured);
const observed = z.number().nullable();
/** What README.md describes under 'The log'. Its order is that of the table's columns. */
const rowSchema = z.object({
  epoch: z.int().min(1),
  step: z.int().min(1),
  loss: measured,
  terms: numbers,
  method: numbers,
  rates: numbers,
  gradientNorm: measured,
  operations: measured,
  imagesPerSecond: measured,
  /** How long the step took, with waiting and observing the watch's images. */
  seconds: measured,
  waitSeconds: measured,
  /** How long this rank exchanged with the others and waited for slower ones; of runs in ranks. */
  exchangeSeconds: measured.exactOptional(),
  skippedImages: measured,
  /** Spread of the features of the watch's fixed images; null on steps at which they were not observed. */
  featureStd: observed,
  featureRank: observed,
  /** What the online probe told, top-1 in percent; null on steps without one, left out where none was asked for. */
  probe: probeResultSchema.nullable().exactOptional(),
  /** How long it took, beside the step. */
  probeSeconds: observed.exactOptional(),
  /** By monitor and value; null on steps at which they did not observe, left out where no monitor has values. */
  monitors: z.record(z.string(), z.record(z.string(), observed)).nullable().exactOptional(),
});

/** What is logged of each step. */
export type LogRow = z.infer<typeof rowSchema>;

/** A monitor's name, and those of its values. */
export type MonitorColumns = Pick<Monitor, 'name' | 'values'>;

/** The names of a method's numbers in the log. */
type LogColumns = Readonly<Record<'terms' | 'method' | 'rates', readonly string[]>>;

/**
 * Opens `log.jsonl` and `log.csv` of a run, cut to the steps up to `lastStep`: what a resumed run does again is not logged twice.
 * @param monitors those whose values are columns of the table
 * @param beginsLater whether the first step of the log is not that of the run, which goes on with another one
 * @param inRanks whether several processes take the steps
 * @param isProbed whether the run has an online probe
 * @returns the log, and how many of those steps it lacks because its file was damaged
 */
export async function openRunLog(
  folder: RunFolder,
  lastStep: number,
  columns: LogColumns,
  monitors: readonly MonitorColumns[] = [],
  { beginsLater = false, inRanks = false, isProbed = false } = {},
) {
  const isThere = (name: string) => (inRanks || name !== 'exchangeSeconds') && (isProbed || !name.startsWith('probe'));
  const head = columnNames(columns, monitors).filter(isThere);
  const jsonLine = (row: LogRow) => `${JSON.stringify(row)}\n`;
  const csvLine = (row: LogRow) => `${head.map((path) => valueAt(row, path) ?? '').join(',')}\n`;
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
  const log = {
    append: (row: LogRow) => forEachFile(({ file, format }) => appendFileSync(file, format(row))),
    close: () => forEachFile(({ file }) => closeSync(file)),
  };
  const before = beginsLater ? (rows[0]?.step ?? lastStep + 1) - 1 : 0;
  return { log, missing: lastStep - before - new Set(rows.map(({ step }) => step)).size };
}

/** The rows of a run's log; lines that were cut off or damaged are left out. */
export function readRunLog(folder: RunFolder): LogRow[] {
  const rows: LogRow[] = [];
  if (existsSync(folder.log)) for (const line of linesOf(folder.log)) rows.push(...parseLogLine(line));
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
    return tail.toString('utf8', 0, bytesRead).split('\n').flatMap(parseLogLine).at(-1) ?? null;
  } catch (error) {
    throw explainSystemError(error, folder.log);
  } finally {
    await file.close();
  }
}

/**
 * What a run took so far, by its log.
 *
 * Device hours are the sum of the steps' seconds, waiting for images and observing the watch's images included, saving
 * and probing left out. Training operations are those of the networks' matrix products, with each step's own numbers of tokens; the
 * watch's are left out.
 * @param epochs how many of its epochs count, for a checkpoint from the middle of a run; all where it is left out
 * @returns null where there is no run, or its log does not tell of every step
 */
export function runCompute(path: string, epochs = Number.POSITIVE_INFINITY): EvaluationResult['compute'] {
  const folder = runFolder(path);
  if (!existsSync(folder.config)) return null;
  const rows = readRunLog(folder).filter(({ epoch }) => epoch <= epochs);
  const isWhole = rows.every(({ step, seconds, operations }, index) => {
    return step === index + 1 && [seconds, operations].every((value) => Number.isFinite(value) && value > 0);
  });
  if (rows.length === 0 || !isWhole) return null;
  const sum = (value: (row: LogRow) => number) => rows.reduce((total, row) => total + value(row), 0);
  return { deviceHours: sum(({ seconds }) => seconds) / 3600, trainingFlops: sum(({ operations }) => operations) };
}

/** The row of a line; none where it was cut off or damaged. */
export function parseLogLine(line: string): LogRow[] {
  const row = rowSchema.safeParse(tryJson(line));
  return row.success ? [row.data] : [];
}

/** Columns of the table: 'terms.prediction', 'rates.learningRate', 'monitors.NAME.VALUE'. */
function columnNames(columns: LogColumns, monitors: readonly MonitorColumns[]): string[] {
  const probe = Object.keys(probeResultSchema.shape);
  const observed = monitors.flatMap(({ name, values }) => values.map((value) => `${name}.${value}`));
  const groups = new Map<string, readonly string[]>(Object.entries({ ...columns, probe, monitors: observed }));
  return Object.keys(rowSchema.shape).flatMap((name) => groups.get(name)?.map((within) => `${name}.${within}`) ?? name);
}

/** What a row has in a column; undefined where it has nothing there. */
function valueAt(row: LogRow, path: string): unknown {
  const within = (value: unknown, name: string) => (value as Record<string, unknown> | null | undefined)?.[name];
  return path.split('.').reduce(within, row);
}
