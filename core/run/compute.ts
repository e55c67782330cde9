import { existsSync } from 'node:fs';
import type { EvaluationResult } from '../eval/results.js';
import { runFolder } from './run-folder.js';
import { type LogRow, readRunLog } from './run-log.js';

/**
 * What a run took so far, by its log.
 *
 * Device hours are the sum of the steps' seconds, waiting for images and observing the watch's images included, saving left
 * out. Training operations are those of the networks' matrix products, with each step's own numbers of tokens; the
 * watch's are left out.
 * @param path the run's folder
 * @param epochs how many of its epochs count, for a checkpoint from the middle of a run; all where it is left out
 * @returns null where there is no run, or its log does not tell of every step
 */
export function runCompute(path: string, epochs = Number.POSITIVE_INFINITY): EvaluationResult['compute'] {
  const folder = runFolder(path);
  if (!existsSync(folder.config)) return null;
  const rows = readRunLog(folder).filter(({ epoch }) => epoch <= epochs);
  if (rows.length === 0 || !rows.every(isWhole)) return null;
  const sum = (value: (row: LogRow) => number) => rows.reduce((total, row) => total + value(row), 0);
  return { deviceHours: sum(({ seconds }) => seconds) / 3600, trainingFlops: sum(({ operations }) => operations) };
}

/** Whether a row is that of the next step and has the numbers that are needed. */
function isWhole({ step, seconds, operations }: LogRow, index: number): boolean {
  return step === index + 1 && [seconds, operations].every((value) => Number.isFinite(value) && value > 0);
}
