/** How long a run is, in optimiser steps and epochs. */
export interface RunLength {
  /** Optimiser steps an epoch. */
  stepsPerEpoch: number;
  epochs: number;
  /** Lets all schedules end so many times later than the run, so that it stops before they do (ipe_scale). */
  scheduleStretch: number;
}

export interface LearningRateSchedule {
  startLearningRate: number;
  learningRate: number;
  finalLearningRate: number;
  warmupEpochs: number;
}

/** How a number goes from its first to its last value. `progress`: the fraction of the way that lies behind, from 0 to 1. */
export type Schedule = (from: number, to: number, progress: number) => number;

export const constant: Schedule = (from) => from;
export const linear: Schedule = (from, to, progress) => from + progress * (to - from);
/** Half a cosine: slow at both ends. */
export const cosine: Schedule = (from, to, progress) => to + (from - to) * 0.5 * (1 + Math.cos(Math.PI * progress));

const SCHEDULES = { cosine, linear, constant };
export type ScheduleName = keyof typeof SCHEDULES;
export const SCHEDULE_NAMES = ['cosine', 'linear', 'constant'] as const satisfies ScheduleName[];

export interface WeightDecaySchedule {
  weightDecay: number;
  finalWeightDecay: number;
  weightDecaySchedule: ScheduleName;
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
  if (step < warmupSteps) return linear(start, peak, step / Math.max(1, warmupSteps));
  const progress = (step - warmupSteps) / Math.max(1, scheduleSteps(length) - warmupSteps);
  return Math.max(final, cosine(peak, final, progress));
}

/**
 * Weight decay of a step, counted from 1: from `weightDecay` to `finalWeightDecay`, which may be larger or smaller, by half
 * a cosine (reference code, `CosineWDSchedule`), linearly (paper, appendix A.1), or not at all.
 */
export function weightDecayAt(step: number, schedule: WeightDecaySchedule, length: RunLength): number {
  const { weightDecay, finalWeightDecay, weightDecaySchedule } = schedule;
  return SCHEDULES[weightDecaySchedule](weightDecay, finalWeightDecay, Math.min(1, step / scheduleSteps(length)));
}
