import { z } from 'zod';
import { UserError } from '../base/errors.js';
import type { LabelledData } from '../contract/data-sets.js';
import { readRandAugment } from '../data/augment/random.js';
import { ARCHITECTURES, type VitSize } from '../nn/sizes.js';
import { learningRateAt } from '../optim/schedules.js';

export const tuningSettings = z.object({
  epochs: z.number(),
  /** Of linear warm-up from 0, fewer than the epochs. */
  warmupEpochs: z.number(),
  /** For a batch of 256 images; scaled in proportion to the batch. */
  baseLearningRate: z.number(),
  /** What the cosine ends at, whatever the batch. */
  finalLearningRate: z.number(),
  /** Where in a step its learning rate is taken: at its beginning, so that the first step has none (MAE), or its middle. */
  rateAt: z.enum(['beginning', 'middle']),
  /** Images a step; all of them where there are fewer. */
  batchSize: z.number(),
  /** Factor of the learning rate from a layer to the one below it. */
  layerDecay: z.number(),
  /** Of matrices and kernels, not of biases and norms. */
  weightDecay: z.number(),
  /** Fraction of the target that is spread evenly over all classes. */
  labelSmoothing: z.number(),
  /** timm's name of RandAugment, as 'rand-m9-mstd0.5-inc1', or 'none'. */
  randAugment: z.string(),
  /** Standard deviation of the head's first weights. */
  headStd: z.number(),
  seed: z.number(),
});

export type FineTuneSettings = z.infer<typeof tuningSettings>;

/** `paper`: the recipe of its appendix A.2; `small`: ours, for small data and encoders; `own`: one of them with changes. */
export const tuningProtocol = z.enum(['paper', 'small', 'own']);
export type FineTuneProtocol = z.infer<typeof tuningProtocol>;

/**
 * Fine-tuning with 1% of ImageNet's labels (paper, appendix A.2), which is MAE's: its schedule, RandAugment and first
 * weights of the head, without mixup, cutmix, random erasing and drop path. The paper's learning rate of 3e-5 is taken as
 * that of a step of 512 images. Its weight decays are those of ViT-L and ViT-H; smaller encoders have the former, larger
 * ones the latter.
 */
export function paperFineTuning({ dim }: Pick<VitSize, 'dim'>): FineTuneSettings {
  return {
    epochs: 50,
    warmupEpochs: 5,
    baseLearningRate: baseRate(3e-5, 512),
    finalLearningRate: 1e-6,
    rateAt: 'beginning',
    batchSize: 512,
    layerDecay: 0.75,
    weightDecay: dim < ARCHITECTURES['vit-huge'].dim ? 0.05 : 0.4, // of ViT-L/16; of ViT-H/14 and ViT-H/16-448
    labelSmoothing: 0.1,
    randAugment: 'rand-m9-mstd0.5-inc1',
    headStd: 2e-5,
    seed: 0,
  };
}

/** For small encoders: a learning rate of 1e-3 for 256 images, random crops and flips alone. */
export const SMALL_FINE_TUNING: FineTuneSettings = {
  epochs: 50,
  warmupEpochs: 5,
  baseLearningRate: 1e-3,
  finalLearningRate: 0,
  rateAt: 'middle',
  batchSize: 256,
  layerDecay: 0.75,
  weightDecay: 0.05,
  labelSmoothing: 0,
  randAugment: 'none',
  headStd: 0.01,
  seed: 0,
};

/**
 * The same, sized to data of fewer than 4,096 images: batches of a sixteenth of them (16 at least) at the same learning rate.
 * A batch of all images would be a step an epoch, and 50 steps leave an encoder about as it was.
 */
function smallFineTuning(images: number): FineTuneSettings {
  const { batchSize: largest, baseLearningRate } = SMALL_FINE_TUNING;
  const batchSize = Math.min(largest, Math.max(16, Math.floor(images / 16)));
  return { ...SMALL_FINE_TUNING, batchSize, baseLearningRate: baseRate((baseLearningRate * largest) / 256, batchSize) };
}

type ChangedNumber = 'epochs' | 'warmupEpochs' | 'batchSize' | 'layerDecay' | 'weightDecay' | 'labelSmoothing';

/**
 * What the user says instead of a protocol's settings; null where nothing was said. The learning rate is that of a step of
 * as many images as a batch has.
 */
export type FineTuneChanges = Record<ChangedNumber | 'learningRate', number | null> & { randAugment: string | null };

/**
 * A protocol's settings for an encoder and data, with changes: those are no longer the protocol's own.
 * @param images to train with
 */
export function fineTuneSettings(
  name: 'paper' | 'small',
  size: Pick<VitSize, 'dim'>,
  images: number,
  { learningRate, ...changes }: FineTuneChanges,
  seed: number,
): { protocol: FineTuneProtocol; settings: FineTuneSettings } {
  const own = name === 'paper' ? paperFineTuning(size) : smallFineTuning(images);
  const said = Object.fromEntries(Object.entries(changes).filter(([, value]) => value !== null));
  const settings: FineTuneSettings = { ...own, ...said, seed };
  if (learningRate !== null) settings.baseLearningRate = baseRate(learningRate, settings.batchSize);
  // A run that is shorter than the usual warm-up has a shorter one.
  if (changes.warmupEpochs === null) settings.warmupEpochs = Math.min(own.warmupEpochs, settings.epochs - 1);
  const isOwn = JSON.stringify({ ...settings, seed: 0 }) === JSON.stringify({ ...own, seed: 0 });
  return { protocol: isOwn ? name : 'own', settings };
}

function baseRate(learningRate: number, batchSize: number): number {
  return (learningRate * 256) / batchSize;
}

/** The learning rate of a step of so many images, by the rule that the settings' one is for 256. */
export function stepRate({ baseLearningRate }: FineTuneSettings, batchSize: number): number {
  return (baseLearningRate * batchSize) / 256;
}

/** The learning rate of a step, counted from 1: linear from 0, then half a cosine (MAE, `lr_sched.py`). */
export function learningRates(settings: FineTuneSettings, batchSize: number, stepsPerEpoch: number) {
  const { epochs, warmupEpochs, rateAt } = settings;
  const learningRate = stepRate(settings, batchSize);
  const finalLearningRate = Math.min(learningRate, settings.finalLearningRate);
  const schedule = { startLearningRate: 0, learningRate, finalLearningRate, warmupEpochs };
  const length = { stepsPerEpoch, epochs, scheduleStretch: 1 };
  return (step: number) => learningRateAt(rateAt === 'beginning' ? step - 1 : step - 0.5, schedule, length);
}

const SMOOTHINGS = 'a number from 0 and below 1, where every class would be as right as the others';

/** @throws UserError where fine-tuning with these settings makes no sense */
export function checkFineTuning(settings: FineTuneSettings, { classes, train, test }: LabelledData): void {
  const { epochs, warmupEpochs, baseLearningRate: rate, batchSize, layerDecay, weightDecay, labelSmoothing } = settings;
  const isCount = (value: number) => Number.isInteger(value) && value >= 1;
  const isPositive = (value: number) => value > 0 && Number.isFinite(value);
  const isShorter = warmupEpochs >= 0 && warmupEpochs < epochs;
  const laws: [problem: string, holds: boolean, expected: string][] = [
    [`fine-tuning for ${epochs} epochs`, isCount(epochs), 'a whole number of epochs from 1'],
    [`a warm-up of ${warmupEpochs} of ${epochs} epochs`, isShorter, 'a shorter warm-up'],
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
