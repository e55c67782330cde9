import { UserError } from '../errors.js';
import type { LabelledData } from '../plugin.js';

export interface FineTuneSettings {
  epochs: number;
  /** Of linear warm-up, fewer than the epochs. */
  warmupEpochs: number;
  /** For a batch of 256 images; scaled in proportion to the batch. */
  baseLearningRate: number;
  /** Images a step; all of them where there are fewer. */
  batchSize: number;
  /** Factor of the learning rate from a layer to the one below it. */
  layerDecay: number;
  /** Of matrices and kernels, not of biases and norms. */
  weightDecay: number;
  seed: number;
}

/** Fine-tuning with 1% of ImageNet's labels (paper, section 5). The paper names no batch size; that of 256 is our choice. */
export const PAPER_FINE_TUNING: FineTuneSettings = {
  epochs: 50,
  warmupEpochs: 5,
  baseLearningRate: 1e-3,
  batchSize: 256,
  layerDecay: 0.75,
  weightDecay: 0.05,
  seed: 0,
};

/** A step takes about three times as long as looking at a test image: forward once, backward twice. */
const TESTS_PER_STEP = 3;

/**
 * The epochs, counted from 1, after which the test images are looked at: every one, or every few where testing would take
 * longer than training; always the last.
 */
export function testedEpochs(epochs: number, { train, test }: LabelledData): ReadonlySet<number> {
  const every = Math.max(1, Math.ceil(test.length / (TESTS_PER_STEP * train.length)));
  const all = Array.from({ length: epochs }, (_, at) => at + 1);
  return new Set(all.filter((epoch) => (epochs - epoch) % every === 0));
}

/** @throws UserError where fine-tuning with these settings makes no sense */
export function checkFineTuning(settings: FineTuneSettings, { classes, train, test }: LabelledData): void {
  const { epochs, warmupEpochs, baseLearningRate, batchSize, layerDecay, weightDecay } = settings;
  const laws: [holds: boolean, problem: string, expected: string][] = [
    [Number.isInteger(epochs) && epochs >= 1, `fine-tuning for ${epochs} epochs`, 'a whole number of epochs from 1'],
    [
      warmupEpochs >= 0 && warmupEpochs < epochs,
      `a warm-up of ${warmupEpochs} of ${epochs} epochs`,
      'a warm-up that is shorter than the run',
    ],
    [baseLearningRate > 0, `a learning rate of ${baseLearningRate}`, 'a learning rate above 0'],
    [Number.isInteger(batchSize) && batchSize >= 1, `batches of ${batchSize} images`, 'a whole number from 1'],
    [layerDecay > 0 && layerDecay <= 1, `a layer-wise decay of ${layerDecay}`, 'a number above 0, up to 1'],
    [weightDecay >= 0, `a weight decay of ${weightDecay}`, 'a number from 0'],
    [train.length > 0, 'no training images', `labelled images in ${train.description}`],
    [test.length > 0, 'no test images', `labelled images in ${test.description}`],
    [classes.length >= 2, `${classes.length} classes`, 'at least two classes'],
  ];
  const broken = laws.find(([holds]) => !holds);
  if (broken) throw new UserError(`fine-tuning cannot start: ${broken[1]}`, { expected: broken[2] });
}
