import { z } from 'zod';
import { writeFileAtomically } from '../base/atomic.js';
import { isMissing, reasonOf, UserError } from '../base/errors.js';
import { listOf } from '../base/list-of.js';
import { FileLock } from '../base/lock.js';
import { PROGRAM } from '../base/program.js';
import { parseJson, readText } from '../base/text.js';
import type { ProbeProtocol } from '../contract/data-sets.js';
import { attentiveSettings } from './attentive-settings.js';
import { tuningProtocol, tuningSettings } from './fine-tune-settings.js';
import { POOLINGS } from './pooling.js';
import { SELECTIONS } from './protocols.js';
import {
  accuracies,
  type accuracy,
  amount,
  confusion,
  curve,
  geometry,
  labelCount,
  meanAccuracy,
  predictions,
  segmentation,
} from './result-parts.js';

/*
 * What was measured of one network on one data set, as it stands in results.json.
 */

export const FORMAT = `${PROGRAM}-evaluation-1` as const;

/** By k. */
const neighbours = listOf(accuracies.extend({ k: z.int().min(1) }));

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
  /** Results of earlier versions do not tell. */
  pooling: z.enum(POOLINGS).exactOptional(),
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
  /** Of the chosen linear head; null where there are too many classes, left out by earlier versions. */
  confusion: confusion.nullable().exactOptional(),
  /** Of the chosen linear head, logistic regression and neighbours; left out by earlier versions, as is what follows. */
  predictions: predictions.exactOptional(),
  geometry: geometry.exactOptional(),
  /** Logistic regression on few labelled images, where it was asked for. */
  fewLabels: listOf(z.object({ count: labelCount, images: z.int().min(1), top1: meanAccuracy })).exactOptional(),
  /** The chosen heads of several seeds, where they were asked for. */
  overSeeds: meanAccuracy.exactOptional(),
  /** A probe with attention on patch tokens, where it was asked for. */
  attentive: accuracies.extend({ curve, settings: attentiveSettings }).exactOptional(),
  /** Linear segmentation, where it was asked for. */
  segmentation: segmentation.exactOptional(),
  /** Each head of the grid by its choices in words, judged on the images on which the best one was chosen. */
  heads: listOf(accuracies.extend({ name: z.string(), curve })),
  ridge: accuracies.nullable(),
  /** With what was chosen on held-out samples. */
  logistic: accuracies.extend({ features: z.enum(['last', 'last-4']), c: amount }).nullable(),
  neighbours,
  /** T of their votes and of those by pixels; results of earlier versions, which had 0.07, do not tell. */
  neighbourTemperature: z.number().positive().exactOptional(),
  /** Of the raw pixels: what needs no learning at all. */
  pixelNeighbours: neighbours,
  fineTuning: accuracies.extend({ curve, protocol: tuningProtocol, settings: tuningSettings }).nullable(),
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

/** Bytes of a file: hundreds of evaluations with predictions for 50,000 images. */
const MAX_BYTES = 2 ** 28;
/** Milliseconds for which others that add results are waited for; each takes a few. */
const MAX_WAIT = 120_000;

/** Writes results as a JSON list, whole or not at all. */
export async function writeResults(path: string, results: readonly EvaluationResult[]): Promise<void> {
  await writeFileAtomically(path, `${JSON.stringify(results, null, 2)}\n`);
}

/**
 * Reads a file of results.
 * @throws UserError if it cannot be read, is damaged, or is of another version; names the field
 */
export async function readResults(path: string): Promise<EvaluationResult[]> {
  return readList(path, (entry, number) => readResult(path, entry, number));
}

/**
 * Reads a list of results.
 * @param read checks an entry, which is numbered from 1
 * @throws UserError if the file cannot be read or holds no list
 */
export async function readList<Entry>(path: string, read: (entry: unknown, number: number) => Entry): Promise<Entry[]> {
  const text = await readText(path, MAX_BYTES);
  let list: unknown;
  try {
    list = parseJson(text);
  } catch (error) {
    const advice = { expected: 'JSON, as an evaluation wrote it', remedy: 'remove it and measure again' };
    throw new UserError(`${path} is not whole: ${reasonOf(error)}`, advice, { cause: error });
  }
  if (Array.isArray(list)) return list.map((entry: unknown, index) => read(entry, index + 1));
  throw new UserError(`${path} is not a file of results: it holds no list`, {
    expected: 'the file that an evaluation wrote',
  });
}

/**
 * Adds results to a file's list, which is made where there is none. One of the same network, data set, kind and protocol
 * is replaced. Other processes may add to it at the same time: each waits until the one before is done.
 * @throws UserError if a file is there that cannot be read; it is left as it is
 */
export async function addResults(path: string, results: readonly EvaluationResult[]): Promise<EvaluationResult[]> {
  const lock = new FileLock(`${path}.lock`, { thing: path, doing: 'adding to it' });
  await lock.acquire(MAX_WAIT);
  try {
    const before = await readResults(path).catch((error: unknown) => {
      if (isMissing(error)) return [];
      throw error;
    });
    const merged = mergeResults(before, results);
    await writeResults(path, merged);
    return merged;
  } finally {
    await lock.release();
  }
}

/** Later results take the place of earlier ones of the same network, data set, kind and protocol; others go to the end. */
export function mergeResults(before: readonly EvaluationResult[], results: readonly EvaluationResult[]) {
  const merged = new Map([...before, ...results].map((result) => [resultKey(result), result]));
  return [...merged.values()];
}

export function resultKey(result: EvaluationResult): string {
  const { dataSet, dataDescription, kind, protocolName, selection, fineTuning } = result;
  const tuned = fineTuning?.protocol ?? null;
  return JSON.stringify([networkKey(result), dataSet, dataDescription, kind, protocolName, selection, tuned]);
}

/** What tells networks apart. Random ones differ by seed. */
export function networkKey({ network, seed }: Pick<EvaluationResult, 'network' | 'seed'>): string {
  const { weights, method, encoder, arch, imageSize, epochs, pretrainedOn, checkpoint } = network;
  if (weights === 'random') return JSON.stringify([weights, arch, imageSize, seed]);
  return JSON.stringify([weights, method, encoder, arch, imageSize, epochs, pretrainedOn, checkpoint]);
}

function readResult(path: string, entry: unknown, number: number): EvaluationResult {
  const { format } = Object(entry) as { format?: unknown };
  if (typeof format === 'string' && format !== FORMAT) {
    throw new UserError(`${path}: result ${number} has the format '${format}'`, {
      expected: FORMAT,
      remedy: 'use the version of the program that wrote it, or measure again',
    });
  }
  return checkedEntry(evaluationResult, path, entry, number);
}

/** An entry of a list of results, with what a later version may have added. @throws UserError if it is damaged */
export function checkedEntry<Entry>(schema: z.ZodType<Entry>, path: string, entry: unknown, number: number): Entry {
  const { success, error } = schema.safeParse(entry);
  if (success) return entry as Entry;
  const issue = error.issues[0];
  const field = issue?.path.map(String).join('.') || 'the whole of it';
  throw new UserError(`${path}: result ${number} is damaged at ${field}: ${issue?.message ?? 'not readable'}`, {
    expected: 'a result as an evaluation wrote it',
    remedy: 'put the file back as it was, or remove it and measure again',
  });
}
