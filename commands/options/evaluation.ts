import { UserError } from '../../core/base/errors.js';
import { choice, flag, grouped, integer, like, number, text, type ValuesOf, words } from '../../core/config/option.js';
import { OPTIONS } from '../../core/config/schema.js';
import type { ExtractionSettings } from '../../core/eval/evaluate.js';
import { SELECTIONS } from '../../core/eval/protocols.js';
import { MEASURE_OPTIONS, VOTING_OPTIONS } from './measures.js';
import { argument } from './others.js';

/* Options that runs have too are theirs, with another help or default where it must be. */

export const CHECKPOINT = argument(
  'path',
  'a run, whose newest checkpoint is taken; a checkpoint; builtin:drawings, which comes with the program; a folder of Hugging Face or timm; or weights by the names of the reference code',
);
const LABELLED_DATA = text({
  what: 'data set',
  help: 'a folder with {train,val}/CLASS below it, or a data set: NAME or NAME:DIR',
  required: true,
});

export const ENCODER_OPTIONS = {
  encoder: text({
    what: 'name',
    help: 'which encoder, by its name in the checkpoint',
    automatic: 'the one by which its method is judged',
  }),
  imageSize: like(OPTIONS.imageSize, { help: 'side of the images', automatic: 'as in pretraining' }),
};

export const EXTRACTION_OPTIONS = grouped('Running', {
  engine: OPTIONS.engine,
  device: OPTIONS.device,
  precision: OPTIONS.precision,
  threads: OPTIONS.threads,
  batchSize: { ...OPTIONS.batchSize, min: 1, default: 16, help: 'images whose features are computed at once' },
  cache: text({
    optional: true,
    what: 'folder',
    help: 'keep features there: an interrupted call goes on, a repeated one computes nothing',
  }),
  cacheLimit: like(OPTIONS.aheadMegabytes, {
    help: 'what that folder may take; the rest is computed each time',
    automatic: 'as much as there is room',
  }),
  maxUnreadable: {
    ...OPTIONS.maxUnreadable,
    default: 0,
    help: 'part of the images that may be unreadable; they are left out',
  },
  maxMegapixels: OPTIONS.maxMegapixels,
  mpi: OPTIONS.mpi,
  rankTimeout: OPTIONS.rankTimeout,
});

const EVALUATION_OPTIONS = {
  ...grouped('Protocol', {
    protocol: choice({
      choices: ['paper', 'quick'],
      help: "paper: the paper's schedule, by VISSL's rules; quick: the same heads, trained on decorrelated features in a short time",
      automatic: 'quick below 100,000 training images',
    }),
    select: choice({
      choices: SELECTIONS,
      help: 'on what the best head is chosen. validation: a held-out tenth of the training images; test: the test images, as the paper does',
      automatic: 'test with paper, validation with quick',
    }),
    views: integer({
      min: 0,
      help: 'random views of each training image, one an epoch in turn; 0: its middle',
      automatic: 'an epoch each with paper, 0 with quick',
    }),
    layers: choice({
      choices: ['last', 'last-4'],
      help: 'what heads see of the encoder',
      automatic: 'both, as the protocol has it',
    }),
    ...ENCODER_OPTIONS,
    seed: { ...OPTIONS.seed, help: 'seed of heads, views and intervals' },
    baseline: flag('leave out the same network at random initialisation', true),
  }),
  ...VOTING_OPTIONS,
  ...grouped('Results', {
    out: text({
      optional: true,
      what: 'folder',
      help: 'write results.json, chart.png and the chosen heads there (results that are there stay), and keep features',
    }),
    formats: words({
      choices: ['csv', 'markdown', 'latex'],
      help: 'write the tables there as well, with commas between',
    }),
    json: flag('print one JSON document; everything else goes to standard error'),
  }),
  ...EXTRACTION_OPTIONS,
  ...grouped('Running', {
    cache: like(EXTRACTION_OPTIONS.cache, {
      help: 'keep features there: what was computed is not again',
      automatic: 'features in --out',
    }),
  }),
};

export const PROBE_OPTIONS = {
  checkpoint: CHECKPOINT,
  data: text({ what: 'data set', help: LABELLED_DATA.help, optional: true }),
  ...EVALUATION_OPTIONS,
  ...MEASURE_OPTIONS,
};

export const TRANSFER_OPTIONS = {
  checkpoints: words({
    help: 'checkpoints (.safetensors) or folders of runs, each a row of the table',
    positional: true,
    required: true,
  }),
  dataRoot: text({
    what: 'folder',
    help: 'where the data sets lie, each in a folder of its own or all in one',
    required: true,
  }),
  datasets: words({
    default: ['cifar100', 'places205', 'inat18', 'clevr-count', 'clevr-dist'], // the paper's transfer table, in its order
    help: 'which, with commas between',
  }),
  ...EVALUATION_OPTIONS,
};

export const FINETUNE_OPTIONS = {
  checkpoint: CHECKPOINT,
  data: LABELLED_DATA,
  subset: text({
    optional: true,
    what: 'file',
    help: 'the training images: a text file with one image name a line, as the published 1% list',
  }),
  fraction: words({
    default: ['1%'],
    help: 'parts of each class that are taken at random where there is no list, each judged for itself, with commas between: 1%,10%',
  }),
  ...EVALUATION_OPTIONS,
  protocol: choice({
    choices: ['paper', 'small', 'quick'],
    group: 'Protocol',
    help:
      "paper: the paper's heads and fine-tuning (A.2); small, or quick: the same heads, trained on decorrelated features " +
      'in a short time, and fine-tuning for small data and encoders',
    automatic: 'small below 10,000 training images',
  }),
  ...grouped('Fine-tuning', {
    epochs: like(OPTIONS.epochs, { help: 'epochs of fine-tuning', automatic: '50 with either protocol' }),
    warmupEpochs: integer({
      min: 0,
      unit: 'epochs',
      help: 'those in which the learning rate rises from 0',
      automatic: '5 with either protocol',
    }),
    trainBatchSize: like(OPTIONS.batchSize, {
      min: 1,
      help: 'images a step; all of them where there are fewer',
      automatic: '512 with paper; 256, or a sixteenth of small data, with small',
    }),
    learningRate: like(OPTIONS.learningRate, {
      help: 'of a step of so many images; in proportion less of fewer',
      automatic: '3e-5 with paper, 1e-3 with small',
    }),
    weightDecay: like(OPTIONS.weightDecay, {
      help: 'weight decay of matrices',
      automatic: '0.05, from ViT-H on 0.4, with paper; 0.05 with small',
    }),
    layerDecay: number({
      min: 0,
      max: 1,
      help: 'factor of the learning rate from a layer to the one below',
      automatic: '0.75 with either protocol',
    }),
    labelSmoothing: number({
      min: 0,
      max: 1,
      help: 'part of the target that all classes share',
      automatic: '0.1 with paper, 0 with small',
    }),
    randAugment: text({
      what: 'name',
      help: "RandAugment by timm's name, or none",
      automatic: 'rand-m9-mstd0.5-inc1 with paper, none with small',
    }),
    microBatchSize: like(OPTIONS.microBatchSize, {
      help: 'images that are computed at once',
      automatic: 'as many as fit',
    }),
    recompute: OPTIONS.recompute,
  }),
};

export const FEATURES_OPTIONS = {
  checkpoint: CHECKPOINT,
  data: argument('data set', 'a data set (NAME or NAME:DIR), or a folder of images without labels'),
  out: text({
    what: 'file',
    help: '.safetensors: features, labels and names in one file; .npy: a file for each',
    required: true,
  }),
  layers: choice({
    choices: ['last', 'last-4'],
    default: 'last',
    help: 'features of the last layer, or of the last four side by side',
  }),
  tokens: flag('write the patch tokens of the last layer as well, of which the features are the mean'),
  ...ENCODER_OPTIONS,
  split: choice({ choices: ['train', 'test'], help: 'part of a labelled data set', automatic: 'train' }),
  transform: choice({
    choices: ['crop', 'squash'],
    help: 'crop: part of an image in its proportions; squash: all of it as a square',
    automatic: 'as the data set has it, or crop',
  }),
  views: integer({ min: 1, help: 'random crops and flips of each image', automatic: 'its middle alone' }),
  seed: { ...OPTIONS.seed, help: 'seed of the random views' },
  force: flag('replace files that are there'),
  json: flag('print one JSON document; everything else goes to standard error'),
  ...EXTRACTION_OPTIONS,
};

export type EvaluationOptions = ValuesOf<typeof EVALUATION_OPTIONS>;
export type ProbeOptions = ValuesOf<typeof PROBE_OPTIONS>;
export type TransferOptions = ValuesOf<typeof TRANSFER_OPTIONS>;
export type FinetuneOptions = ValuesOf<typeof FINETUNE_OPTIONS>;
export type FeaturesOptions = ValuesOf<typeof FEATURES_OPTIONS>;

/**
 * How features are computed.
 * @param cache the folder in which they are kept; null for none
 * @throws UserError where something limits a cache that there is not
 */
export function extractionSettings(
  { batchSize, cacheLimit, maxUnreadable, maxMegapixels }: ValuesOf<typeof EXTRACTION_OPTIONS>,
  cache: string | null,
): ExtractionSettings {
  if (cacheLimit !== null && cache === null) {
    throw new UserError('--cache-limit limits nothing without a cache', {
      expected: 'a folder for features beside it',
      remedy: 'name one with --cache, or leave --cache-limit out',
    });
  }
  const cacheBytes = cacheLimit !== null && { cacheBytes: cacheLimit * 1e6 };
  return { batchSize, cache, ...cacheBytes, pixelLimit: Math.floor(maxMegapixels * 1e6), maxUnreadable };
}
