import { mapValues } from '../base/map-values.js';
import { WIRES } from '../base/wire.js';
import { DEVICES, ENGINE_NAMES, PRECISIONS } from '../engine/contract.js';
import { ARCHITECTURE_NAMES, BACKBONE_NAMES, INITIALISATIONS } from '../nn/sizes.js';
import { OPTIMISER_NAMES } from '../optim/optimiser.js';
import { SCHEDULE_NAMES } from '../optim/schedules.js';
import {
  choice,
  flag,
  grouped,
  integer,
  interval,
  named,
  number,
  type Option,
  type OptionTable,
  text,
  type ValuesOf,
  words,
} from './option.js';

/**
 * The options of every run, whatever its method. The order is that of help, tables and the resolved configuration; those of
 * the method come before them.
 */
export const OPTIONS = {
  ...grouped('Method', {
    method: named({
      default: '', // the first method's name
      what: 'a method',
      help: 'self-supervised method',
    }),
  }),
  ...grouped('Data', {
    data: words({
      mayChange: true,
      help: 'folders of images (any depth), lists of image files (.txt), shards (.tar, of a server too), or the name of a data set',
      positional: true,
    }),
    plugins: words({
      mayChange: true,
      help: 'plugins that bring data sets, objectives, methods, monitors: packages installed here, or modules (./mine.js), which a file names as seen from its own folder',
    }),
    shuffleBuffer: integer({
      min: 2,
      unit: 'images',
      help: 'images that are shuffled among themselves, for data that are quick only where neighbours are read together, such as shards of a server',
      automatic: 'the whole data set',
    }),
    imageSize: integer({
      default: 224,
      min: 1,
      max: 4096,
      unit: 'pixels',
      help: 'side of the square that the model sees',
    }),
    cropScale: interval({
      default: [0.3, 1],
      min: 0,
      max: 1,
      open: true,
      help: "part of the picture's area that a random crop covers",
    }),
    cropAspect: interval({ default: [3 / 4, 4 / 3], min: 0, open: true, help: 'width / height of a random crop' }),
    flip: number({ default: 0, min: 0, max: 1, help: 'probability of a left-right flip' }),
    jitter: number({
      default: 0,
      min: 0,
      max: 1,
      help: 'strength of changes of colour, in 80% of the crops; 20% become grey',
    }),
    blur: number({ default: 0, min: 0, max: 1, help: 'probability of a Gaussian blur, by 0.1 to 2 pixels' }),
    maxUnreadable: number({
      default: 0.05,
      min: 0,
      max: 1,
      mayChange: true,
      help: 'part of the images that may be unreadable before training stops',
    }),
    maxMegapixels: number({
      default: 100,
      min: 0,
      max: 10_000,
      open: true,
      unit: 'million pixels',
      help: 'larger images count as unreadable',
    }),
    aheadMegabytes: number({
      default: 256,
      min: 0,
      unit: 'MB',
      mayChange: true,
      help: 'memory for images that are decoded ahead of their step (never less than one batch); as much again for parts of shards that are fetched with a shuffle buffer',
    }),
    decodeThreads: integer({
      min: 1,
      max: 64,
      mayChange: true,
      help: 'threads that decode images; batches are the same with any number',
      automatic: 'the cores that the process may use, up to 8',
    }),
  }),
  ...grouped('Model', {
    backbone: choice({
      default: BACKBONE_NAMES[0],
      choices: BACKBONE_NAMES,
      help: 'kind of encoder: a vision transformer, whose sizes the other options name, or a residual network, for methods that ask for no patches',
    }),
    width: number({
      default: 1,
      min: 1 / 16,
      max: 4,
      help: 'factor of all channels of a residual network; 1, 2 and 3 in SimCLR and BYOL',
    }),
    selectiveKernels: flag(
      'selective kernels in a residual network, with the first layers of ResNet-D, as in SimCLR v2',
    ),
    arch: choice({
      default: 'vit-small',
      choices: ARCHITECTURE_NAMES,
      help: 'size of the encoder, and of what goes with it',
    }),
    patchSize: integer({ default: 16, min: 1, unit: 'pixels', help: 'side of a patch; divides the image size' }),
    dim: integer({ min: 4, help: 'width of the encoder; a multiple of 4 and of the heads', automatic: 'as arch' }),
    depth: integer({ min: 1, help: 'blocks of the encoder', automatic: 'as arch' }),
    heads: integer({ min: 1, help: 'attention heads of the encoder and of a predictor', automatic: 'as arch' }),
    init: choice({
      default: 'scaled',
      choices: INITIALISATIONS,
      help: "how weights start: with the depth-scaled residual layers of the reference's design, or without, as its code in effect does; in a residual network with branches that start as 0, or without",
    }),
  }),
  ...grouped('Optimisation', {
    epochs: integer({ default: 100, min: 1, help: 'passes over the data' }),
    imagesSeen: integer({
      optional: true,
      min: 1,
      unit: 'images',
      help: 'length of the run whatever the size of its data, in the place of --epochs: the whole epochs in which it sees about so many images',
    }),
    batchSize: integer({
      default: 64,
      min: 2,
      unit: 'images',
      help: 'images a step; with --images-seen at most as many as there are',
    }),
    microBatchSize: integer({
      min: 1,
      unit: 'images',
      mayChange: true,
      help: 'images computed at once; less takes less memory and gives the same step, but with a residual network, whose batch norm goes by these images',
      automatic: 'the whole batch, or as many as fit into the memory of the engine',
    }),
    recompute: {
      ...flag(
        'compute blocks once more for their gradients instead of keeping what these need: the same step in less memory',
      ),
      mayChange: true,
    },
    learningRate: number({ default: 1e-3, min: 0, help: 'largest learning rate, at the end of the warm-up' }),
    startLearningRate: number({
      min: 0,
      help: 'learning rate at the start of the warm-up',
      automatic: 'a fifth of the largest',
    }),
    finalLearningRate: number({ default: 1e-6, min: 0, help: 'learning rate at the end of its cosine' }),
    warmupEpochs: number({ min: 0, unit: 'epochs', help: 'length of the warm-up', automatic: 'a tenth of the epochs' }),
    weightDecay: number({ default: 0.04, min: 0, help: 'weight decay at the start of the run' }),
    finalWeightDecay: number({ default: 0.4, min: 0, help: 'weight decay at the end of its schedule' }),
    weightDecaySchedule: choice({
      default: 'cosine',
      choices: SCHEDULE_NAMES,
      help: "how weight decay gets there: by half a cosine, as in the reference code, linearly, as in the paper's text, or not at all",
    }),
    optimiser: choice({
      default: OPTIMISER_NAMES[0],
      choices: OPTIMISER_NAMES,
      help: 'what updates weights: AdamW; Muon, for matrices, with AdamW for the rest; SGD or LARS, which add weight decay to the gradient and need larger learning rates',
    }),
    momentum: number({ default: 0.9, min: 0, below: 1, help: 'momentum of SGD and LARS' }),
    matrixRate: number({
      default: 6,
      min: 0,
      open: true,
      help: "Muon's learning rate of matrices, in units of --learning-rate",
    }),
    beta1: number({ default: 0.9, min: 0, below: 1, help: "AdamW's decay of the gradients' average" }),
    beta2: number({ default: 0.999, min: 0, below: 1, help: "AdamW's decay of their squares' average" }),
    epsilon: number({ default: 1e-8, min: 0, open: true, help: "AdamW's addition to the denominator" }),
    clipGradient: number({
      default: 0,
      min: 0,
      help: 'largest norm of the gradient of each parameter, to which larger ones are scaled down; 0 for any norm',
    }),
    scheduleStretch: number({
      default: 1,
      min: 1,
      help: 'lets all schedules end so many times later than the run (ipe_scale)',
    }),
  }),
  ...grouped('Running', {
    out: text({
      optional: true,
      what: 'folder',
      mayChange: true,
      help: 'where the run is kept: checkpoints, logs and pictures',
    }),
    mlflow: text({
      optional: true,
      what: 'address',
      mayChange: true,
      help: 'log to a server of MLflow as well, http://HOST:PORT',
    }),
    initFrom: text({
      optional: true,
      what: 'path',
      help: 'weights to start from: a run, a checkpoint, a folder of Hugging Face or timm, or builtin:drawings; networks that they do not hold start fresh',
    }),
    resumeOptimizer: flag(
      'go on with the run whose whole state --init-from names, of this program or of the reference code: its moments and its epoch as well',
    ),
    tensorboard: {
      ...flag('leave out the files that TensorBoard reads (in a file: tensorboard: false)', true),
      mayChange: true,
    },
    seed: integer({
      default: 0,
      min: 0,
      max: 2 ** 31 - 1,
      help: 'fixes everything random: weights, order, crops, masks',
    }),
    engine: choice({
      default: 'auto',
      choices: ['auto', ...ENGINE_NAMES],
      mayChange: true,
      help: 'what computes; auto takes the fastest that is there',
    }),
    device: choice({
      default: 'cpu',
      choices: DEVICES,
      mayChange: true,
      help: 'what the engine onnx computes on: the processor, or a graphics card by WebGPU',
    }),
    precision: choice({
      default: 'float32',
      choices: PRECISIONS,
      mayChange: true,
      help: 'what networks are computed in; bfloat16 by the engine openvino. Weights and moments stay float32',
    }),
    threads: integer({
      min: 1,
      max: 1024,
      mayChange: true,
      help: 'threads that compute at the same time, on engines that can choose',
      automatic: 'the cores that the process may use',
    }),
    mpi: text({
      optional: true,
      what: 'path',
      mayChange: true,
      help: "MPI's library, of a run on many machines, or its folder; without it that of the launcher is looked for",
    }),
    wire: choice({
      default: 'float32',
      choices: WIRES,
      mayChange: true,
      help: 'what gradients travel as between ranks; bfloat16 halves the bytes, and rounds to 8 bits',
    }),
    shardOptimiser: {
      ...flag('let each rank keep the moments of its part of the weights alone: less memory, the same steps'),
      mayChange: true,
    },
    rankTimeout: integer({
      default: 300,
      min: 5,
      unit: 'seconds',
      mayChange: true,
      help: 'how long a rank may keep the others waiting, before all of them end',
    }),
    memory: integer({
      min: 64,
      unit: 'MiB',
      mayChange: true,
      help: 'memory that training may take; batches are computed in parts that fit',
      automatic: '60% of what is free; of a graphics card, 8 GiB',
    }),
    saveEverySteps: integer({
      min: 1,
      unit: 'steps',
      mayChange: true,
      help: 'how often the latest checkpoint is written, beside after every epoch',
      automatic: 'by time alone',
    }),
    saveEveryMinutes: number({
      default: 30,
      min: 0,
      open: true,
      unit: 'minutes',
      mayChange: true,
      help: 'longest time without a checkpoint being written',
    }),
    saveEveryEpochs: integer({
      default: 10,
      min: 1,
      unit: 'epochs',
      mayChange: true,
      help: 'how often the checkpoint of an epoch is kept under its number',
    }),
    keepCheckpoints: integer({
      default: 3,
      min: 0,
      mayChange: true,
      help: 'how many of those are kept, the newest ones',
    }),
    watchEverySteps: integer({
      default: 50,
      min: 1,
      unit: 'steps',
      help: 'how often monitors look at the representations',
    }),
    watchImages: integer({
      default: 64,
      min: 2,
      max: 1024,
      unit: 'images',
      help: 'images at whose representations they look',
    }),
    probe: text({
      optional: true,
      what: 'data set or folder',
      help: 'labelled images on whose features classifiers are judged now and then; what is trained stays the same, and the best checkpoint is kept',
    }),
    probeImages: integer({
      default: 1500,
      min: 3,
      max: 100_000,
      unit: 'images',
      help: 'how many of their training images are drawn; a third of these are judged, and the test images are left alone',
    }),
    probeEverySteps: integer({
      min: 1,
      unit: 'steps',
      mayChange: true,
      help: 'how often that is done, beside before the first step and after the last one',
      automatic: 'so seldom that it takes less than 5% of the time',
    }),
    monitors: words({
      default: ['collapse'],
      mayChange: true,
      help: 'what looks at the representations: collapse, which says when they collapse; spectrum, which logs centred ranks and alpha-ReQ; and monitors of plugins',
    }),
  }),
} as const;

/** Options that define the encoder: weights of one encoder do not fit another. */
export const ENCODER_OPTIONS = Object.entries<Option<unknown>>(OPTIONS)
  .filter(([, { group }]) => group === 'Model')
  .map(([name]) => name);

/** Options under a name. */
export interface Preset {
  /** What it is, in one line for people. */
  summary: string;
  /** Common options, and those of the method that brings the preset. */
  options: Readonly<Record<string, unknown>>;
}

/** What configuration has to know of a method. */
export interface MethodOptions {
  readonly name: string;
  /** As tables write it. */
  readonly title: string;
  readonly summary: string;
  /** Of its own. */
  readonly options: OptionTable;
  /** Defaults that differ from those of common options. */
  readonly defaults: Readonly<Record<string, unknown>>;
  readonly presets: Readonly<Record<string, Preset>>;
}

/** All options of runs with a method, its own first. */
export function schemaOf({ name, options, defaults }: MethodOptions): OptionTable {
  const changed: Readonly<Record<string, unknown>> = { ...defaults, method: name };
  const { method, ...rest } = mapValues<Option<unknown>, Option<unknown>>(OPTIONS, (about, option) =>
    Object.hasOwn(changed, option) ? { ...about, default: changed[option] } : about,
  ) as OptionTable & { method: Option<unknown> };
  return { method, ...options, ...rest };
}

/** A value for every common option, and for those of the method, which it knows the types of. */
export type Options = ValuesOf<typeof OPTIONS> & { readonly [own: string]: unknown };
