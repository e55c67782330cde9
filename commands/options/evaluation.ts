import {
  automatic,
  choice,
  flag,
  grouped,
  integer,
  number,
  positional,
  required,
  text,
  type ValuesOf,
  words,
} from '../../core/config/option.js';
import { OPTIONS } from '../../core/config/schema.js';
import { SELECTIONS } from '../../core/eval/protocols.js';
import { CHECKPOINT, CHECKPOINTS, ENCODER_OPTIONS, EXTRACTION_OPTIONS, LABELLED_DATA } from './shared.js';

export const FORMATS = ['csv', 'markdown', 'latex'] as const;
export type Format = (typeof FORMATS)[number];

/** What all evaluations have. */
const EVALUATION_OPTIONS = {
  ...grouped('Protocol', {
    protocol: automatic(
      choice({
        choices: ['paper', 'quick'],
        default: 'paper',
        help: "paper: the paper's schedule, by VISSL's rules; quick: the same heads, trained on decorrelated features in a short time",
      }),
      'quick below 100,000 training images',
    ),
    select: automatic(
      choice({
        choices: SELECTIONS,
        default: 'test',
        help: 'on what the best head is chosen. validation: a held-out tenth of the training images; test: the test images, as the paper does',
      }),
      'test with paper, validation with quick',
    ),
    views: automatic(
      integer({
        default: 0,
        min: 0,
        help: 'random views of each training image, one an epoch in turn; 0: its middle',
      }),
      'an epoch each with paper, 0 with quick',
    ),
    ...ENCODER_OPTIONS,
    seed: { ...OPTIONS.seed, help: 'seed of heads, views and intervals' },
    baseline: flag('leave out the same network at random initialisation', true),
  }),
  ...grouped('Results', {
    out: text({
      what: 'folder',
      help: 'write results.json and chart.png there (results that are there stay), and keep features',
    }),
    formats: words({ choices: FORMATS, default: [], help: 'write the tables there as well, with commas between' }),
    json: flag('print one JSON document; everything else goes to standard error'),
  }),
  ...EXTRACTION_OPTIONS,
  ...grouped('Running', {
    cache: automatic(
      { ...EXTRACTION_OPTIONS.cache, help: 'keep features there: what was computed is not again' },
      'features in --out',
    ),
  }),
};

export const PROBE_OPTIONS = { checkpoint: CHECKPOINT, data: LABELLED_DATA, ...EVALUATION_OPTIONS };

/** The data sets of the paper's transfer table, in its order. */
const TRANSFER_DATA_SETS = ['cifar100', 'places205', 'inat18', 'clevr-count', 'clevr-dist'];

export const TRANSFER_OPTIONS = {
  checkpoints: CHECKPOINTS,
  dataRoot: required(
    text({ what: 'folder', help: 'where the data sets lie, each in a folder of its own or all in one' }),
  ),
  datasets: words({ default: TRANSFER_DATA_SETS, help: 'which, with commas between' }),
  ...EVALUATION_OPTIONS,
};

export const FINETUNE_OPTIONS = {
  checkpoint: CHECKPOINT,
  data: LABELLED_DATA,
  subset: text({
    what: 'file',
    help: 'the training images: a text file with one image name a line, as the published 1% list',
  }),
  fraction: number({
    default: 0.01,
    min: 0,
    max: 1,
    help: 'part of each class that is taken at random where there is no list',
  }),
  ...EVALUATION_OPTIONS,
  protocol: automatic(
    choice({
      choices: ['paper', 'small', 'quick'],
      default: 'paper',
      group: 'Protocol',
      help:
        "paper: the paper's heads and fine-tuning (A.2); small, or quick: the same heads, trained on decorrelated features " +
        'in a short time, and fine-tuning for small data and encoders',
    }),
    'small below 10,000 training images',
  ),
  ...grouped('Fine-tuning', {
    epochs: automatic({ ...OPTIONS.epochs, help: 'epochs of fine-tuning' }, '50 with either protocol'),
    warmupEpochs: automatic(
      integer({ default: 0, min: 0, unit: 'epochs', help: 'those in which the learning rate rises from 0' }),
      '5 with either protocol',
    ),
    trainBatchSize: automatic(
      { ...OPTIONS.batchSize, min: 1, help: 'images a step; all of them where there are fewer' },
      '512 with paper; 256, or a sixteenth of small data, with small',
    ),
    learningRate: automatic(
      { ...OPTIONS.learningRate, help: 'of a step of so many images; in proportion less of fewer' },
      '3e-5 with paper, 1e-3 with small',
    ),
    weightDecay: automatic(
      { ...OPTIONS.weightDecay, help: 'weight decay of matrices' },
      '0.05, from ViT-H on 0.4, with paper; 0.05 with small',
    ),
    layerDecay: automatic(
      number({ default: 1, min: 0, max: 1, help: 'factor of the learning rate from a layer to the one below' }),
      '0.75 with either protocol',
    ),
    labelSmoothing: automatic(
      number({ default: 0, min: 0, max: 1, help: 'part of the target that all classes share' }),
      '0.1 with paper, 0 with small',
    ),
    randAugment: automatic(
      text({ what: 'name', help: "RandAugment by timm's name, or none" }),
      'rand-m9-mstd0.5-inc1 with paper, none with small',
    ),
    microBatchSize: automatic(
      { ...OPTIONS.microBatchSize, default: 1, help: 'images that are computed at once' },
      'as many as fit',
    ),
  }),
};

export const FEATURES_OPTIONS = {
  checkpoint: CHECKPOINT,
  data: required(
    positional(text({ what: 'data set', help: 'a data set (NAME or NAME:DIR), or a folder of images without labels' })),
  ),
  out: required(
    text({ what: 'file', help: '.safetensors: features, labels and names in one file; .npy: a file for each' }),
  ),
  layers: choice({
    choices: ['last', 'last-4'],
    default: 'last',
    help: 'features of the last layer, or of the last four side by side',
  }),
  ...ENCODER_OPTIONS,
  split: automatic(
    choice({ choices: ['train', 'test'], default: 'train', help: 'part of a labelled data set' }),
    'train',
  ),
  transform: automatic(
    choice({
      choices: ['crop', 'squash'],
      default: 'crop',
      help: 'crop: part of an image in its proportions; squash: all of it as a square',
    }),
    'as the data set has it, or crop',
  ),
  views: automatic(integer({ default: 1, min: 1, help: 'random crops and flips of each image' }), 'its middle alone'),
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
