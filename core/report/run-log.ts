import { closeSync, existsSync, openSync, readFileSync, writeSync } from 'node:fs';
import { writeFileAtomically } from '../checkpoint/atomic.js';
import type { RunFolder } from '../checkpoint/run-folder.js';
import { explainSystemError } from '../errors.js';

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
  /** Patches that each context block and each target block kept. */
  contextPatches: number;
  targetPatches: number;
  /** Context blocks of the batch that had to be allowed into a target. */
  overlappingContexts: number;
  learningRate: number;
  weightDecay: number;
  /** Of the target encoder's moving average. */
  momentum: number;
  gradientNorm: number;
  imagesPerSecond: number;
  /** How long the step waited for its images. */
  waitSeconds: number;
  /** Unreadable images so far. */
  skippedImages: number;
  /** Spread of the target features; null on steps that were not watched. */
  targetDeviation: number | null;
  targetRank: number | null;
}

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
  'imagesPerSecond',
  'waitSeconds',
  'skippedImages',
  'targetDeviation',
  'targetRank',
] as const satisfies readonly (keyof LogRow)[];

/** Appends rows to `log.jsonl` and `log.csv`. */
export interface RunLog {
  append(row: LogRow): void;
  close(): void;
}

/**
 * Opens the logs of a run, cut to the steps up to `lastStep`: what a resumed run does again is not logged twice.
 */
export async function openRunLog(folder: RunFolder, lastStep: number): Promise<RunLog> {
  const rows = readRunLog(folder).filter(({ step }) => step <= lastStep);
  await writeFileAtomically(folder.log, rows.map(jsonLine).join(''));
  await writeFileAtomically(folder.table, [`${COLUMNS.join(',')}\n`, ...rows.map(csvLine)].join(''));
  const log = openSync(folder.log, 'a');
  const table = openSync(folder.table, 'a');
  return {
    append(row) {
      try {
        writeSync(log, jsonLine(row));
        writeSync(table, csvLine(row));
      } catch (error) {
        throw explainSystemError(error, folder.log);
      }
    },
    close() {
      closeSync(log);
      closeSync(table);
    },
  };
}

/** The rows of a run's log; a last line that was cut off is left out. */
export function readRunLog(folder: RunFolder): LogRow[] {
  if (!existsSync(folder.log)) return [];
  return readFileSync(folder.log, 'utf8')
    .split('\n')
    .flatMap((line) => {
      try {
        const row: unknown = JSON.parse(line);
        return row !== null && typeof row === 'object' && 'step' in row ? [row as LogRow] : [];
      } catch {
        return [];
      }
    });
}

function jsonLine(row: LogRow): string {
  return `${JSON.stringify(row)}\n`;
}

function csvLine(row: LogRow): string {
  return `${COLUMNS.map((column) => row[column] ?? '').join(',')}\n`;
}
