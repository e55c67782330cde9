import type { LogRow } from '../../core/run/run-log.js';

/** What a run logs of a step. */
export function logRow(step: number, changes: Partial<LogRow> = {}): LogRow {
  return {
    epoch: 1,
    step,
    loss: 1 / step,
    terms: { prediction: 1 / step },
    method: { contextPatches: 10, targetPatches: 4, targetStd: 0.1 },
    rates: { learningRate: 1e-3, weightDecay: 0.04, ema: 0.996 },
    gradientNorm: 1,
    operations: 1000,
    imagesPerSecond: 100,
    seconds: 0.25,
    waitSeconds: 0,
    skippedImages: 0,
    featureStd: null,
    featureRank: null,
    ...changes,
  };
}
