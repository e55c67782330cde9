import { flag, grouped, integer, interval, number } from '../../config/option.js';
import type { Options, Preset } from '../../config/schema.js';
import { encoderSize } from '../../config/settings.js';
import type { MlpHeadSize } from '../../nn/mlp-head.js';
import type { OwnOptions, ViewSpec } from '../method.js';
import { OPTIONS as DINO, localSize } from '../self-distillation/options.js';
import { CPU_SMALL, emaOptions } from '../shared.js';

const { localImageSize } = DINO;

export const OPTIONS = {
  ...grouped('Data', {
    localCrops: integer({ default: 10, min: 0, help: 'small crops of each image, which are anchors without a mask' }),
    localImageSize,
    localScale: interval({
      default: [0.05, 0.3],
      min: 0,
      max: 1,
      open: true,
      help: "part of the picture's area that a small crop covers",
    }),
  }),
  maskRatio: number({
    group: 'Masks',
    default: 0.15,
    min: 0,
    below: 1,
    help: "fraction of the large anchor's patches that its encoder does not see; more for larger networks",
  }),
  ...grouped('Model', {
    headDim: integer({ default: 2048, min: 1, help: "width of the head's two hidden layers" }),
    projectionDim: integer({ default: 256, min: 1, help: 'width of what the head gives, and of a prototype' }),
    prototypes: integer({ default: 1024, min: 2, help: 'learned vectors to which views are assigned' }),
  }),
  ...grouped('Objective', {
    anchorTemperature: number({ default: 0.1, min: 0, open: true, help: "temperature of the anchors' assignments" }),
    targetTemperature: number({
      default: 0.025,
      min: 0,
      open: true,
      help: "temperature of the targets' assignments; lower than the anchors', so that targets are sharper",
    }),
    sinkhorn: flag("spread a batch's targets evenly over the prototypes, by Sinkhorn's iterations", true),
    meMaxWeight: number({
      default: 1,
      min: 0,
      help: "weight of the mean assignment's entropy, which is to be large; the paper has 5 without Sinkhorn",
    }),
  }),
  ...emaOptions(0.996, 1),
};
export type Own = Options & OwnOptions<typeof OPTIONS>;

/** What the paper's runs share (appendix A.1; official code, configs/pretrain, on 16 GPUs of 64 images). */
const PAPER: Preset['options'] = { imageSize: 224, batchSize: 1024, warmupEpochs: 15, scheduleStretch: 1.25 };
const paper = (model: string, epochs: number, values: Preset['options']): Preset => ({
  summary: `MSN's ${model}, ${epochs} epochs of ImageNet-1K`,
  options: { ...PAPER, epochs, ...values },
});

export const PRESETS: Readonly<Record<string, Preset>> = {
  'paper-msn-vits16': paper('ViT-S/16', 800, { arch: 'vit-small' }),
  'paper-msn-vitb16': paper('ViT-B/16', 600, { arch: 'vit-base', maskRatio: 0.3 }),
  'paper-msn-vitb4': paper('ViT-B/4', 300, { arch: 'vit-base', patchSize: 4, maskRatio: 0.7 }),
  'paper-msn-vitl16': paper('ViT-L/16', 600, { arch: 'vit-large', maskRatio: 0.5 }), // the better one of table 8
  'paper-msn-vitl7': paper('ViT-L/7', 200, {
    arch: 'vit-large',
    patchSize: 7,
    maskRatio: 0.7,
    localImageSize: 91, // what whole patches cover of the paper's 96
  }),
  'cpu-small-msn': {
    summary: 'MSN at the sizes of cpu-small-ijepa',
    options: {
      ...CPU_SMALL,
      cropScale: [0.3, 1],
      localCrops: 4,
      headDim: 256,
      projectionDim: 64,
      prototypes: 128,
      ema: 0.99,
      blur: 0, // up to 2 pixels wide, it would leave little of small crops
      finalWeightDecay: 0.04,
    },
  },
};

/** A large crop for the target, one for the anchor whose patches are masked, and the small ones; all changed alike. */
export function viewsOf(options: Own): ViewSpec[] {
  const { localCrops: count, localScale: cropScale } = options;
  return [
    { name: 'target', count: 1 },
    { name: 'anchor', count: 1 },
    { name: 'local', count, crop: { imageSize: localSize(options), cropScale } },
  ].slice(0, count > 0 ? 3 : 2);
}

/** Sizes of the head: three layers, the first two with batch norm, which takes biases away. */
export function sizeOfHead(options: Own): MlpHeadSize {
  const { headDim, projectionDim } = options;
  return { inputs: encoderSize(options).dim, hidden: [headDim, headDim], outputs: projectionDim };
}
