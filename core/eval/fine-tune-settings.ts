import { UserError } from '../base/errors.js';
import type { LabelledData } from '../contract/data-sets.js';
import { readRandAugment } from '../data/augment/random.js';
import { learningRateAt } from '../optim/schedules.js';

export interface FineTuneSettings {
  epochs: number;
  /** Of linear warm-up from 0, fewer than the epochs. */
  warmupEpochs: number;
  /** For a batch of 256 images; scaled in proportion to the batch. */
  baseLearningRate: number;
  /** What the cosine ends at, whatever the batch. */
  finalLearningRate: number;
  /** Where in a step its learning rate is taken: at its beginning, so that the first step has none (MAE), or its middle. */
  rateAt: 'beginning' | 'middle';
  /** Images a step; all of them where there are fewer. */
  batchSize: number;
  /** Factor of the learning rate from a layer to the one below it. */
  layerDecay: number;
  /** Of matrices and kernels, not of biases and norms. */
  weightDecay: number;
  /** Fraction of the target that is spread evenly over all classes. */
  labelSmoothing: number;
  /** timm's name of RandAugment, as 'rand-m9-mstd0.5-inc1', or 'none'. */
  randAugment: string;
  /** Standard deviation of the head's first weights. */
  headStd: number;
  seed: number;
}

/** The learning rate of a step of so many images, by the rule that the settings' one is for 256. */
export function stepRate({ baseLearningRate }: FineTuneSettings, batchSize: number): number {
  return (baseLearningRate * batchSize) / 256;
}

/** The learning rate of a step, counted from 1: linear from 0, then half a cosine (MAE, `lr_sched.py`). */
export function learningRates(
  settings: FineTuneSettings,
  batchSize: number,
  stepsPerEpoch: number,
): (step: number) => number {
  const { epochs, warmupEpochs, rateAt } = settings;
  const learningRate = stepRate(settings, batchSize);
  const finalLearningRate = Math.min(learningRate, settings.finalLearningRate);
  const schedule = { startLearningRate: 0, learningRate, finalLearningRate, warmupEpochs };
  const length = { stepsPerEpoch, epochs, scheduleStretch: 1 };
  return (step) => learningRateAt(rateAt === 'beginning' ? step - 1 : step - 0.5, schedule, length);
}

const SMOOTHINGS = 'a number from 0 and below 1, where every class would be as right as the others';

/** @throws UserError where fine-tuning with these settings makes no sense */
export function checkFineTuning(settings: FineTuneSettings, { classes, train, test }: LabelledData): void {
  const { epochs, warmupEpochs, baseLearningRate: rate, batchSize, layerDecay, weightDecay, labelSmoothing } = settings;
  const isCount = (value: number) => Number.isInteger(value) && value >= 1;
  const isPositive = (value: number) => value > 0 && Number.isFinite(value);
  const laws: [problem: string, holds: boolean, expected: string][] = [
    [`fine-tuning for ${epochs} epochs`, isCount(epochs), 'a whole number of epochs from 1'],
    [
      `a warm-up of ${warmupEpochs} of ${epochs} epochs`,
      warmupEpochs >= 0 && warmupEpochs < epochs,
      'a shorter warm-up',
    ],
    [`a learning rate of ${rate} for 256 images`, isPositive(rate), 'a learning rate above 0'],
    [`batches of ${batchSize} images`, isCount(batchSize), 'a whole number from 1'],
    [`a layer-wise decay of ${layerDecay}`, layerDecay > 0 && layerDecay <= 1, 'a number above 0, up to 1'],
    [`a weight decay of ${weightDecay}`, weightDecay === 0 || isPositive(weightDecay), 'a number from 0'],
    [`a label smoothing of ${labelSmoothing}`, labelSmoothing >= 0 && labelSmoothing < 1, SMOOTHINGS],
    ['no training images', train.length > 0, `labelled images in ${train.description}`],
    ['no test images', test.length > 0, `labelled images in ${test.description}`],
    [`${classes.length} classes`, classes.length >= 2, 'at least two classes'],
  ];
  const broken = laws.find(([, holds]) => !holds);
  if (broken) throw new UserError(`fine-tuning cannot start: ${broken[0]}`, { expected: broken[2] });
  readRandAugment(settings.randAugment);
}
