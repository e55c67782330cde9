import type { ProbeProtocol } from '../plugin.js';

/** Linear evaluation on ImageNet-1K and its 1% subset (paper, appendix A.2; VISSL's configuration for the heads). */
export const LINEAR_PROTOCOL: ProbeProtocol = {
  optimiser: 'lars',
  epochs: 50,
  batchSize: 16_384,
  baseLearningRate: 0.1,
  schedule: { kind: 'steps', atEpochs: [15, 30, 45] },
  momentum: 0.9,
  nesterov: false,
  weightDecays: [0.0005, 0],
  learningRateFactors: [1, 0.1],
  features: ['last', 'last-4'],
  norms: ['batch', 'none'],
  transform: 'crop',
};

/** Steps after which heads on small data have converged, by experience. */
const LEAST_STEPS = 2000;
/** More classes have more to learn. */
const STEPS_PER_CLASS = 20;
const LARGEST_QUICK_BATCH = 256;
const SMALLEST_QUICK_BATCH = 16;
/** Small data are cut into so many batches at least. */
const BATCHES_PER_EPOCH = 16;

/**
 * The same heads and the same shape of schedule, with its length sized to the data: at least 2000 steps, and 20 for each
 * class. More epochs than the protocol's are taken only to reach 2000 steps. Batches are of 256 images at most, and of a
 * sixteenth of the images where there are few (16 at least). The learning rate of a step stays the protocol's: scaled down
 * with the batch, LARS would hardly move weights in so few steps.
 */
export function quickProtocol(of: ProbeProtocol, trainImages: number, classes: number): ProbeProtocol {
  const sixteenth = Math.max(SMALLEST_QUICK_BATCH, Math.floor(trainImages / BATCHES_PER_EPOCH));
  const batchSize = Math.min(of.batchSize, LARGEST_QUICK_BATCH, sixteenth);
  const steps = stepsPerEpoch(trainImages, batchSize);
  const longest = Math.max(of.epochs, Math.ceil(LEAST_STEPS / steps));
  const epochs = Math.min(longest, Math.ceil(Math.max(LEAST_STEPS, STEPS_PER_CLASS * classes) / steps));
  const { schedule } = of;
  return {
    ...of,
    epochs,
    batchSize,
    baseLearningRate: (of.baseLearningRate * of.batchSize) / batchSize,
    schedule:
      schedule.kind === 'steps'
        ? { kind: 'steps', atEpochs: schedule.atEpochs.map((epoch) => (epoch * epochs) / of.epochs) }
        : schedule,
  };
}

/** Whole batches in an epoch; where there are fewer samples than a batch, they are the batch. */
export function stepsPerEpoch(samples: number, batchSize: number): number {
  return Math.max(1, Math.floor(samples / batchSize));
}

/**
 * Learning rate of a step: the base for 256 images, scaled in proportion to the batch, times the schedule.
 * @param step counted from 0 over all epochs
 * @param batch samples in each step's batch
 */
export function learningRateAt(protocol: ProbeProtocol, step: number, stepsPerEpoch: number, batch: number): number {
  const { schedule } = protocol;
  const peak = (protocol.baseLearningRate * batch) / 256;
  if (schedule.kind === 'steps') {
    const reached = schedule.atEpochs.filter((epoch) => step >= epoch * stepsPerEpoch - 1e-6).length;
    return peak / 10 ** reached;
  }
  const progress = step / (protocol.epochs * stepsPerEpoch);
  return peak * (schedule.finalPart + (1 - schedule.finalPart) * 0.5 * (1 + Math.cos(Math.PI * progress)));
}
