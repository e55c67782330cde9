/** How long a run is, in optimiser steps and epochs. */
export interface RunLength {
  /** Optimiser steps an epoch. */
  stepsPerEpoch: number;
  epochs: number;
  /** Stretches the cosines and the momentum beyond the run's end, so that it stops before they do (ipe_scale). */
  scheduleStretch: number;
}

export interface LearningRateSchedule {
  startLearningRate: number;
  learningRate: number;
  finalLearningRate: number;
  warmupEpochs: number;
}

/** How weight decay goes from its first to its last value. */
export const WEIGHT_DECAY_SCHEDULES = ['cosine', 'linear'] as const;

export interface WeightDecaySchedule {
  weightDecay: number;
  finalWeightDecay: number;
  weightDecaySchedule: (typeof WEIGHT_DECAY_SCHEDULES)[number];
}

/** Steps that the schedules count on; the run itself may end earlier. */
export function scheduleSteps({ stepsPerEpoch, epochs, scheduleStretch }: RunLength): number {
  return Math.floor(scheduleStretch * epochs * stepsPerEpoch);
}

/**
 * Learning rate of a step, counted from 1: linear from `start` to `learningRate` over the warm-up, then half a cosine to
 * `final` (reference code, `WarmupCosineSchedule`).
 */
export function learningRateAt(step: number, schedule: LearningRateSchedule, length: RunLength): number {
  const { startLearningRate: start, learningRate: peak, finalLearningRate: final } = schedule;
  const warmupSteps = Math.floor(schedule.warmupEpochs * length.stepsPerEpoch);
  if (step < warmupSteps) return start + (step / Math.max(1, warmupSteps)) * (peak - start);
  const progress = (step - warmupSteps) / Math.max(1, scheduleSteps(length) - warmupSteps);
  return Math.max(final, cosine(peak, final, progress));
}

/**
 * Weight decay of a step, counted from 1: from `weightDecay` to `finalWeightDecay`, which may be larger or smaller, by half
 * a cosine (reference code, `CosineWDSchedule`) or linearly (paper, appendix A.1).
 */
export function weightDecayAt(step: number, schedule: WeightDecaySchedule, length: RunLength): number {
  const { weightDecay: start, finalWeightDecay: final, weightDecaySchedule } = schedule;
  const progress = Math.min(1, step / scheduleSteps(length));
  return weightDecaySchedule === 'linear' ? start + progress * (final - start) : cosine(start, final, progress);
}

function cosine(from: number, to: number, progress: number): number {
  return to + (from - to) * 0.5 * (1 + Math.cos(Math.PI * progress));
}
