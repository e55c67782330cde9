import { UserError } from '../base/errors.js';
import { type LearningRateSchedule, learningRateAt, type RunLength, weightDecayAt } from '../optim/schedules.js';
import { AUTO } from './option.js';
import type { Options } from './schema.js';
import { encoderSize } from './sizes.js';

/** Images that are computed at once. */
export function microBatchSizeOf({ microBatchSize, batchSize }: Options): number {
  return Math.min(microBatchSize ?? batchSize, batchSize);
}

/**
 * The learning rate's schedule, complete and checked.
 * @throws UserError if the warm-up is longer than the run, or does not lead upwards
 */
export function learningRateSchedule(options: Options): LearningRateSchedule {
  const { epochs, learningRate, finalLearningRate } = options;
  const warmupEpochs = options.warmupEpochs ?? epochs / 10;
  const startLearningRate = options.startLearningRate ?? learningRate / 5;
  if (warmupEpochs > epochs) {
    throw new UserError(`a warm-up of ${warmupEpochs} epochs does not fit into a run of ${epochs}`, {
      expected: 'a warm-up that ends before the run does',
      remedy: 'use --warmup-epochs auto, a tenth of the epochs',
    });
  }
  for (const [flag, rate] of [
    ['--start-learning-rate', startLearningRate],
    ['--final-learning-rate', finalLearningRate],
  ] as const) {
    if (rate <= learningRate) continue;
    throw new UserError(`${flag} ${rate} is more than the largest learning rate, ${learningRate}`, {
      expected: `at most --learning-rate (${learningRate})`,
      remedy: `use ${flag} ${flag.startsWith('--start') ? AUTO : learningRate / 1000}`,
    });
  }
  return { startLearningRate, learningRate, finalLearningRate, warmupEpochs };
}

/** What common options that are left to the program come to, where options alone decide it. */
export function automaticValues(options: Options): Readonly<Record<string, number>> {
  const { dim, depth, heads } = encoderSize(options);
  const { startLearningRate, warmupEpochs } = learningRateSchedule(options);
  return { dim, depth, heads, startLearningRate, warmupEpochs };
}

/** Learning rate and weight decay of a step, counted from 1. */
export function ratesAt(step: number, options: Options, length: RunLength) {
  return {
    learningRate: learningRateAt(step, learningRateSchedule(options), length),
    weightDecay: weightDecayAt(step, options, length),
  };
}
