import { ARCHITECTURES, type VitSize } from '../nn/sizes.js';
import type { FineTuneSettings } from './fine-tune-settings.js';

/** `paper`: the recipe of its appendix A.2; `small`: ours, for small data and encoders; `own`: one of them with changes. */
export type FineTuneProtocol = 'paper' | 'small' | 'own';

const HUGE = ARCHITECTURES['vit-huge'].dim;
/** Of the paper's ViT-L/16; of its ViT-H/14 and ViT-H/16-448. */
const WEIGHT_DECAYS = { large: 0.05, huge: 0.4 };

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
    weightDecay: dim < HUGE ? WEIGHT_DECAYS.large : WEIGHT_DECAYS.huge,
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

/** Small data are cut into so many batches at least, of so many images. */
const BATCHES_PER_EPOCH = 16;
const SMALLEST_BATCH = 16;

/**
 * The same, sized to data of fewer than 4,096 images: batches of a sixteenth of them (16 at least) at the same learning rate.
 * A batch of all images would be a step an epoch, and 50 steps leave an encoder about as it was.
 */
function smallFineTuning(images: number): FineTuneSettings {
  const { batchSize: largest, baseLearningRate } = SMALL_FINE_TUNING;
  const batchSize = Math.min(largest, Math.max(SMALLEST_BATCH, Math.floor(images / BATCHES_PER_EPOCH)));
  return { ...SMALL_FINE_TUNING, batchSize, baseLearningRate: baseRate((baseLearningRate * largest) / 256, batchSize) };
}

/** What the user says instead of a protocol's settings; null where nothing was said. */
export type FineTuneChanges = {
  readonly [Name in Exclude<
    keyof FineTuneSettings,
    'baseLearningRate' | 'finalLearningRate' | 'rateAt' | 'headStd' | 'seed'
  >]: FineTuneSettings[Name] | null;
} & {
  /** Of a step of as many images as a batch has. */
  readonly learningRate: number | null;
};

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
