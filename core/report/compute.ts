import { existsSync } from 'node:fs';
import { NONE } from '../config/option.js';
import { readRunRecord } from '../config/record.js';
import { modelSize } from '../config/settings.js';
import type { EvaluationResult } from '../eval/result.js';
import { contextOperations, stepOperations } from '../nn/operations.js';
import { runFolder } from '../run/run-folder.js';
import { type LogRow, readRunLog } from '../run/run-log.js';

/**
 * What a run took so far, by its log.
 *
 * Device hours are the sum of the steps' seconds, waiting for images and looking at the watch's images included, saving left
 * out. Training operations are those of the networks' matrix products, with each
 * step's own numbers of tokens; the watch's are left out.
 * @param path the run's folder
 * @param epochs how many of its epochs count, for a checkpoint from the middle of a run; all where it is left out
 * @returns null where there is no run, or its log does not tell of every step
 * @throws UserError if the run's configuration or log is damaged
 */
export async function runCompute(
  path: string,
  epochs = Number.POSITIVE_INFINITY,
): Promise<EvaluationResult['compute']> {
  const folder = runFolder(path);
  if (!existsSync(folder.config)) return null;
  const { options, run } = await readRunRecord(folder.config);
  const rows = readRunLog(folder).filter(({ epoch }) => epoch <= epochs);
  if (!isWhole(rows)) return null;
  const { batchSize, contexts, targets, regularizer, regularizerWeight } = options;
  const size = modelSize(options);
  // The regularizer of a batch that is computed in parts looks at all contexts once before.
  const together = Math.min(run.microBatchSize, options.maskGroup ?? batchSize);
  const looksTwice = regularizer !== NONE && regularizerWeight > 0 && together < batchSize;
  const operations = ({ contextPatches, targetPatches }: LogRow) => {
    const tokens = { contexts, contextPatches, targets, targetPatches };
    return batchSize * (stepOperations(size, tokens) + (looksTwice ? contextOperations(size, tokens) : 0));
  };
  const sum = (value: (row: LogRow) => number) => rows.reduce((total, row) => total + value(row), 0);
  return {
    deviceHours: sum(({ seconds, imagesPerSecond }) => seconds ?? batchSize / imagesPerSecond) / 3600,
    trainingFlops: sum(operations),
  };
}

/** Whether rows hold every step from the first on, each once, with the numbers that are needed. */
function isWhole(rows: readonly LogRow[]): boolean {
  const isPositive = (value: unknown) => typeof value === 'number' && Number.isFinite(value) && value > 0;
  return (
    rows.length > 0 &&
    rows.every(
      ({ step, seconds, imagesPerSecond, contextPatches, targetPatches }, index) =>
        step === index + 1 &&
        isPositive(seconds ?? imagesPerSecond) &&
        isPositive(contextPatches) &&
        isPositive(targetPatches),
    )
  );
}
