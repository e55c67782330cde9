import { z } from 'zod';
import { listOf } from '../base/list-of.js';
import { PROGRAM } from '../base/program.js';
import type { ProbeProtocol } from '../contract/data-sets.js';
import type { FineTuneSettings } from './fine-tune-settings.js';
import { SELECTIONS } from './protocols.js';

/*
 * What was measured of one network on one data set, as it stands in results.json.
 */

export const FORMAT = `${PROGRAM}-evaluation-1` as const;

const percent = z.number().min(0).max(100);
const amount = z.number().min(0);
/** Percent of the images, with a 95% interval over them. */
const accuracy = z.object({ value: percent, low: percent, high: percent });
const accuracies = z.object({ top1: accuracy, top5: accuracy });
/** Top-1 after epochs, percent. */
const curve = listOf(percent);
/** By k. */
const neighbours = listOf(accuracies.extend({ k: z.int().min(1) }));

/** One linear head of a grid, judged on the images on which the best one was chosen. */
const head = accuracies.extend({
  /** Its choices in words: 'last, batch norm, lr 1x, wd 0.0005'. */
  name: z.string(),
  curve,
});

const network = z.object({
  /** `pretrained`, or the same network at random initialisation. */
  weights: z.enum(['pretrained', 'random']),
  /** The title of the method that trained it: 'MAE'; null for random weights. */
  method: z.string().nullable(),
  /** The name of the encoder, where it is not the one by which the method is judged. */
  encoder: z.string().nullable(),
  /** As in the paper's tables: 'ViT-S/16'; other sizes as 'ViT 96x4/8'. */
  arch: z.string().min(1),
  /** Of pretraining; null where it is not known. */
  epochs: amount.nullable(),
  /** What it was pretrained on, for people; null for random weights. */
  pretrainedOn: z.string().nullable(),
  checkpoint: z.string().nullable(),
  /** Side of the images that it saw, in pixels. */
  imageSize: z.int().min(1),
});

const protocol: z.ZodType<ProbeProtocol> = z.object({
  optimiser: z.enum(['lars', 'sgd']),
  epochs: amount,
  batchSize: z.int().min(1),
  baseLearningRate: amount,
  schedule: z.union([
    z.object({ kind: z.literal('steps'), atEpochs: listOf(z.number()) }),
    z.object({ kind: z.literal('cosine'), finalPart: z.number(), by: z.enum(['epochs', 'steps']).exactOptional() }),
  ]),
  momentum: z.number(),
  nesterov: z.boolean(),
  weightDecays: listOf(z.number()),
  learningRateFactors: listOf(z.number()),
  features: listOf(z.enum(['last', 'last-4'])),
  norms: listOf(z.enum(['none', 'batch'])),
  transform: z.enum(['crop', 'squash']),
  decorrelated: z.boolean().exactOptional(),
  interpolation: z.enum(['bilinear', 'bicubic']).exactOptional(),
});

const fineTuneSettings: z.ZodType<FineTuneSettings> = z.object({
  epochs: z.number(),
  warmupEpochs: z.number(),
  baseLearningRate: z.number(),
  finalLearningRate: z.number(),
  rateAt: z.enum(['beginning', 'middle']),
  batchSize: z.number(),
  layerDecay: z.number(),
  weightDecay: z.number(),
  labelSmoothing: z.number(),
  randAugment: z.string(),
  headStd: z.number(),
  seed: z.number(),
});

export const evaluationResult = z.object({
  format: z.literal(FORMAT),
  /** The kind of table in which it can stand. */
  kind: z.enum(['linear', 'semi-supervised', 'transfer']),
  /** The name of the data set, and where it lay. */
  dataSet: z.string().min(1),
  dataDescription: z.string(),
  classes: z.int().min(1),
  trainImages: z.int().min(0),
  testImages: z.int().min(1),
  network,
  /** `paper`: its schedule; `quick`: the same grid of heads, trained so that those of a trained network converge in a short time. */
  protocolName: z.enum(['paper', 'quick']),
  protocol,
  /** On which images the best head was chosen. */
  selection: z.enum(SELECTIONS),
  /**
   * The chosen head on the test images: what stands in tables. For semi-supervised results the better of probe and
   * fine-tuning.
   */
  best: accuracies.extend({ name: z.string() }),
  heads: listOf(head),
  ridge: accuracies.nullable(),
  /** With what was chosen on held-out samples. */
  logistic: accuracies.extend({ features: z.enum(['last', 'last-4']), c: amount }).nullable(),
  neighbours,
  /** Of the raw pixels: what needs no learning at all. */
  pixelNeighbours: neighbours,
  fineTuning: accuracies
    .extend({ curve, protocol: z.enum(['paper', 'small', 'own']), settings: fineTuneSettings })
    .nullable(),
  /** What pretraining took; null where its log does not tell. */
  compute: z.object({ deviceHours: amount, trainingFlops: amount }).nullable(),
  engine: z.object({ name: z.string(), version: z.string(), device: z.string(), threads: z.int().min(0) }),
  seed: z.number(),
  programVersion: z.string(),
  measuredAt: z.iso.datetime({ offset: true }),
});

export type EvaluationResult = z.infer<typeof evaluationResult>;
export type EvaluationKind = EvaluationResult['kind'];
export type Accuracy = z.infer<typeof accuracy>;
export type Accuracies = z.infer<typeof accuracies>;
export type HeadResult = z.infer<typeof head>;
