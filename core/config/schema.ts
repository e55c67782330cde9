import { DEVICES, ENGINE_NAMES } from '../engine/contract.js';
import { MASK_MODES } from '../methods/masks/blocks.js';
import { ARCHITECTURE_NAMES, INITIALISATIONS } from '../nn/sizes.js';
import { WEIGHT_DECAY_SCHEDULES } from '../optim/schedules.js';
import { automatic, choice, integer, interval, list, NONE, named, number, type Option, path } from './option.js';

/** Every option of a run. The order is that of help, tables and the resolved configuration. */
export const OPTIONS = {
  data: list({
    group: 'Data',
    default: [],
    mayChange: true,
    help: 'folders of images (any depth), lists of image files (.txt), shards (.tar, of a server too), or the name of a data set',
  }),
  plugins: list({
    group: 'Data',
    default: [],
    mayChange: true,
    help: 'plugins that bring data sets, objectives, monitors: packages installed here, or modules beside the configuration file (./mine.js)',
  }),
  shuffleBuffer: automatic(
    integer({
      group: 'Data',
      default: 0,
      min: 2,
      unit: 'images',
      help: 'images that are shuffled among themselves, for data that are quick only where neighbours are read together, such as shards of a server',
    }),
    'the whole data set',
  ),
  imageSize: integer({
    group: 'Data',
    default: 224,
    min: 1,
    max: 4096,
    unit: 'pixels',
    help: 'side of the square that the model sees',
  }),
  cropScale: interval({
    group: 'Data',
    default: [0.3, 1],
    min: 0,
    max: 1,
    open: true,
    help: "part of the picture's area that a random crop covers",
  }),
  cropAspect: interval({
    group: 'Data',
    default: [3 / 4, 4 / 3],
    min: 0,
    open: true,
    help: 'width / height of a random crop',
  }),
  flip: number({ group: 'Data', default: 0, min: 0, max: 1, help: 'probability of a left-right flip' }),
  jitter: number({
    group: 'Data',
    default: 0,
    min: 0,
    max: 1,
    help: 'strength of changes of colour, in 80% of the crops; 20% become grey',
  }),
  blur: number({
    group: 'Data',
    default: 0,
    min: 0,
    max: 1,
    help: 'probability of a Gaussian blur, by 0.1 to 2 pixels',
  }),
  maxUnreadable: number({
    group: 'Data',
    default: 0.05,
    min: 0,
    max: 1,
    mayChange: true,
    help: 'part of the images that may be unreadable before training stops',
  }),
  maxMegapixels: number({
    group: 'Data',
    default: 100,
    min: 0,
    max: 10_000,
    open: true,
    unit: 'million pixels',
    help: 'larger images count as unreadable',
  }),
  aheadMegabytes: number({
    group: 'Data',
    default: 256,
    min: 0,
    unit: 'MB',
    mayChange: true,
    help: 'memory for images that are decoded ahead of their step (never less than one batch); as much again for parts of shards that are fetched with a shuffle buffer',
  }),
  decodeThreads: automatic(
    integer({
      group: 'Data',
      default: 0,
      min: 1,
      max: 64,
      mayChange: true,
      help: 'threads that decode images; batches are the same with any number',
    }),
    'the cores that the process may use, up to 8',
  ),

  arch: choice({
    group: 'Model',
    default: 'vit-small',
    choices: ARCHITECTURE_NAMES,
    help: 'size of the encoders and the predictor',
  }),
  patchSize: integer({
    group: 'Model',
    default: 16,
    min: 1,
    unit: 'pixels',
    help: 'side of a patch; divides the image size',
  }),
  dim: automatic(
    integer({ group: 'Model', default: 0, min: 4, help: 'width of the encoders; a multiple of 4 and of the heads' }),
    'as arch',
  ),
  depth: automatic(integer({ group: 'Model', default: 0, min: 1, help: 'blocks of the encoders' }), 'as arch'),
  heads: automatic(
    integer({ group: 'Model', default: 0, min: 1, help: 'attention heads of encoders and predictor' }),
    'as arch',
  ),
  predictorDim: automatic(
    integer({ group: 'Model', default: 0, min: 4, help: 'width of the predictor; a multiple of 4 and of the heads' }),
    'as arch',
  ),
  predictorDepth: automatic(
    integer({ group: 'Model', default: 0, min: 1, help: 'blocks of the predictor' }),
    'as arch',
  ),
  init: choice({
    group: 'Model',
    default: 'scaled',
    choices: INITIALISATIONS,
    help: "how weights start: with the depth-scaled residual layers of the reference's design, or without, as its code in effect does",
  }),

  targets: integer({ group: 'Masks', default: 4, min: 1, max: 64, help: 'target blocks an image' }),
  targetScale: interval({
    group: 'Masks',
    default: [0.15, 0.2],
    min: 0,
    max: 1,
    open: true,
    help: 'part of the image that a target block covers',
  }),
  targetAspect: interval({
    group: 'Masks',
    default: [0.75, 1.5],
    min: 0,
    open: true,
    help: 'height / width of a target block',
  }),
  contexts: integer({ group: 'Masks', default: 1, min: 1, max: 16, help: 'context blocks an image' }),
  contextScale: interval({
    group: 'Masks',
    default: [0.85, 1],
    min: 0,
    max: 1,
    open: true,
    help: 'part of the image that a context block covers, before targets are taken out',
  }),
  minKeep: automatic(
    integer({ group: 'Masks', default: 0, min: 1, unit: 'patches', help: 'patches that every block must keep' }),
    '10, or the smallest block where that is smaller',
  ),
  maskMode: choice({
    group: 'Masks',
    default: 'inclusive',
    choices: MASK_MODES,
    help: 'how blocks are placed and cut: evenly over the grid, or as in the reference code, whose blocks never reach the last row and column and whose contexts lose the bottom first',
  }),
  maskGroup: automatic(
    integer({
      group: 'Masks',
      default: 0,
      min: 1,
      unit: 'images',
      help: 'images of a batch that are cut together to the smallest of their contexts, as those on one GPU of the reference code are; the more, the more is cut away',
    }),
    'the whole batch',
  ),

  loss: named({
    group: 'Objective',
    default: 'l2',
    nameOf: 'a loss',
    help: "distance of predicted and target representations: l2, the paper's squared distance; smooth-l1, the reference code's; or one of a plugin",
  }),
  regularizer: named({
    group: 'Objective',
    default: NONE,
    nameOf: 'a regularizer',
    help: "term against collapse, on the context encoder's pooled output: vicreg, by variance and covariance; sigreg, by distance from a normal distribution; one of a plugin; or none",
  }),
  regularizerWeight: number({ group: 'Objective', default: 0.3, min: 0, help: 'weight of that term' }),

  epochs: integer({ group: 'Optimisation', default: 100, min: 1, help: 'passes over the data' }),
  batchSize: integer({ group: 'Optimisation', default: 64, min: 2, unit: 'images', help: 'images a step' }),
  microBatchSize: automatic(
    integer({
      group: 'Optimisation',
      default: 0,
      min: 1,
      unit: 'images',
      mayChange: true,
      help: 'images computed at once; less takes less memory and gives the same step',
    }),
    'the whole batch, or as many as fit into the memory of the engine',
  ),
  learningRate: number({
    group: 'Optimisation',
    default: 1e-3,
    min: 0,
    help: 'largest learning rate, at the end of the warm-up',
  }),
  startLearningRate: automatic(
    number({ group: 'Optimisation', default: 0, min: 0, help: 'learning rate at the start of the warm-up' }),
    'a fifth of the largest',
  ),
  finalLearningRate: number({
    group: 'Optimisation',
    default: 1e-6,
    min: 0,
    help: 'learning rate at the end of its cosine',
  }),
  warmupEpochs: automatic(
    number({ group: 'Optimisation', default: 0, min: 0, unit: 'epochs', help: 'length of the warm-up' }),
    'a tenth of the epochs',
  ),
  weightDecay: number({
    group: 'Optimisation',
    default: 0.04,
    min: 0,
    help: 'weight decay at the start of the run',
  }),
  finalWeightDecay: number({
    group: 'Optimisation',
    default: 0.4,
    min: 0,
    help: 'weight decay at the end of its schedule',
  }),
  weightDecaySchedule: choice({
    group: 'Optimisation',
    default: 'cosine',
    choices: WEIGHT_DECAY_SCHEDULES,
    help: "how weight decay gets there: by half a cosine, as in the reference code, or linearly, as in the paper's text",
  }),
  beta1: number({
    group: 'Optimisation',
    default: 0.9,
    min: 0,
    below: 1,
    help: "AdamW's decay of the gradients' average",
  }),
  beta2: number({
    group: 'Optimisation',
    default: 0.999,
    min: 0,
    below: 1,
    help: "AdamW's decay of their squares' average",
  }),
  epsilon: number({
    group: 'Optimisation',
    default: 1e-8,
    min: 0,
    open: true,
    help: "AdamW's addition to the denominator",
  }),
  ema: number({
    group: 'Optimisation',
    default: 0.996,
    min: 0,
    max: 1,
    help: "momentum of the target encoder's moving average at the start",
  }),
  finalEma: number({
    group: 'Optimisation',
    default: 1,
    min: 0,
    max: 1,
    help: 'the same at the end, reached linearly',
  }),
  scheduleStretch: number({
    group: 'Optimisation',
    default: 1,
    min: 1,
    help: 'lets all schedules end so many times later than the run (ipe_scale)',
  }),

  out: path({
    group: 'Running',
    default: null,
    mayChange: true,
    help: 'folder for the run: checkpoints, logs and pictures',
  }),
  seed: integer({
    group: 'Running',
    default: 0,
    min: 0,
    max: 2 ** 31 - 1,
    help: 'fixes everything random: weights, order, crops, masks',
  }),
  engine: choice({
    group: 'Running',
    default: 'auto',
    choices: ['auto', ...ENGINE_NAMES],
    mayChange: true,
    help: 'what computes; auto takes the fastest that is there',
  }),
  device: choice({
    group: 'Running',
    default: 'cpu',
    choices: DEVICES,
    mayChange: true,
    help: 'what the engine onnx computes on: the processor, or a graphics card by WebGPU',
  }),
  threads: automatic(
    integer({
      group: 'Running',
      default: 0,
      min: 1,
      max: 1024,
      mayChange: true,
      help: 'threads that compute at the same time, on engines that can choose',
    }),
    'the cores that the process may use',
  ),
  memory: automatic(
    integer({
      group: 'Running',
      default: 0,
      min: 64,
      unit: 'MiB',
      mayChange: true,
      help: 'memory that training may take; batches are computed in parts that fit',
    }),
    '60% of what is free; of a graphics card, 8 GiB',
  ),
  saveEverySteps: automatic(
    integer({
      group: 'Running',
      default: 0,
      min: 1,
      unit: 'steps',
      mayChange: true,
      help: 'how often the latest checkpoint is written, beside after every epoch',
    }),
    'by time alone',
  ),
  saveEveryMinutes: number({
    group: 'Running',
    default: 30,
    min: 0,
    open: true,
    unit: 'minutes',
    mayChange: true,
    help: 'longest time without a checkpoint being written',
  }),
  saveEveryEpochs: integer({
    group: 'Running',
    default: 10,
    min: 1,
    unit: 'epochs',
    mayChange: true,
    help: 'how often the checkpoint of an epoch is kept under its number',
  }),
  keepCheckpoints: integer({
    group: 'Running',
    default: 3,
    min: 0,
    mayChange: true,
    help: 'how many of those are kept, the newest ones',
  }),
  watchEverySteps: integer({
    group: 'Running',
    default: 50,
    min: 1,
    unit: 'steps',
    help: 'how often monitors look at the representations',
  }),
  watchImages: integer({
    group: 'Running',
    default: 64,
    min: 2,
    max: 1024,
    unit: 'images',
    help: 'images at whose representations they look',
  }),
  monitors: list({
    group: 'Running',
    default: ['collapse'],
    mayChange: true,
    help: 'what looks at the representations: collapse, which says when they collapse, and monitors of plugins',
  }),
} as const satisfies Record<string, Option<never> | Option<unknown>>;

export type OptionName = keyof typeof OPTIONS;
export const OPTION_NAMES = Object.keys(OPTIONS) as OptionName[];

/** Options that older runs and configuration files may name: they are passed over. For each, what is used instead. */
export const REMOVED_OPTIONS: Readonly<Record<string, string>> = {
  cache: '`ijepa data pack --resize`',
  cacheMegabytes: '`ijepa data pack --resize`',
};

/** What a run had whose record does not name an option: that run is older than the option. */
export function valueBefore(name: OptionName): unknown {
  const option: Option<unknown> = OPTIONS[name];
  return option.before === undefined ? option.default : option.before;
}

type ValueOf<O> = O extends Option<infer T> ? T : never;
/** A value for every option. */
export type Options = { readonly [Name in OptionName]: ValueOf<(typeof OPTIONS)[Name]> };

/** The command-line flag of an option: imageSize -> --image-size. */
export function flagOf(name: OptionName): string {
  if (name === 'data') return 'DATA...';
  if (name === 'plugins' || name === 'monitors') return 'in a file only';
  return `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}
