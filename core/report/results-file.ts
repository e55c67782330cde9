import { z } from 'zod';
import { writeFileAtomically } from '../base/atomic.js';
import { isMissing, reasonOf, UserError } from '../base/errors.js';
import { listOf } from '../base/list-of.js';
import { FileLock } from '../base/lock.js';
import { parseJson, readText } from '../base/text.js';
import { SMALL_FINE_TUNING } from '../eval/fine-tune-protocols.js';
import type { EvaluationResult } from '../eval/result.js';
import { SELECTIONS } from '../eval/selection.js';
import { networkKey } from './network-rows.js';

const FORMAT = 'ijepa-evaluation-1';
/** Most bytes of a file: thousands of evaluations. */
const LARGEST = 2 ** 26;
/** Milliseconds for which others that add results are waited for; each takes a few. */
const LONGEST_WAIT = 120_000;

const percent = z.number().min(0).max(100);
const accuracy = z.looseObject({ value: percent, low: percent, high: percent });
const accuracies = { top1: accuracy, top5: accuracy };
const curve = listOf(percent);
const amount = z.number().min(0);
const neighbours = listOf(z.looseObject({ k: z.int().min(1), ...accuracies }));

const protocol = z.looseObject({
  optimiser: z.enum(['lars', 'sgd']),
  epochs: amount,
  batchSize: z.int().min(1),
  baseLearningRate: amount,
  schedule: z.union([
    z.looseObject({ kind: z.literal('steps'), atEpochs: listOf(z.number()) }),
    z.looseObject({
      kind: z.literal('cosine'),
      finalPart: z.number(),
      by: z.enum(['epochs', 'steps']).exactOptional(),
    }),
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

const evaluation: z.ZodType<EvaluationResult> = z.looseObject({
  format: z.literal(FORMAT),
  kind: z.enum(['linear', 'semi-supervised', 'transfer']),
  dataSet: z.string().min(1),
  dataDescription: z.string(),
  classes: z.int().min(1),
  trainImages: z.int().min(0),
  testImages: z.int().min(1),
  network: z.looseObject({
    weights: z.enum(['pretrained', 'random']),
    method: z.string().nullable(),
    encoder: z.string().nullable(),
    arch: z.string().min(1),
    epochs: amount.nullable(),
    pretrainedOn: z.string().nullable(),
    checkpoint: z.string().nullable(),
    imageSize: z.int().min(1),
  }),
  protocolName: z.enum(['paper', 'quick']),
  protocol,
  // What results of the time before lack.
  selection: z.enum(SELECTIONS).default('test'),
  logistic: z
    .looseObject({ ...accuracies, features: z.enum(['last', 'last-4']), c: amount })
    .nullable()
    .default(null),
  best: z.looseObject({ ...accuracies, name: z.string() }),
  heads: listOf(z.looseObject({ ...accuracies, name: z.string(), curve })),
  ridge: z.looseObject(accuracies).nullable(),
  neighbours,
  pixelNeighbours: neighbours,
  fineTuning: z
    .looseObject({
      ...accuracies,
      curve,
      // What files of the time before lack has the value of that time.
      protocol: z.enum(['paper', 'small', 'own']).default('small'),
      settings: z.object({
        epochs: z.number(),
        warmupEpochs: z.number(),
        baseLearningRate: z.number(),
        finalLearningRate: z.number().default(SMALL_FINE_TUNING.finalLearningRate),
        rateAt: z.enum(['beginning', 'middle']).default(SMALL_FINE_TUNING.rateAt),
        batchSize: z.number(),
        layerDecay: z.number(),
        weightDecay: z.number(),
        labelSmoothing: z.number().default(SMALL_FINE_TUNING.labelSmoothing),
        randAugment: z.string().default(SMALL_FINE_TUNING.randAugment),
        headDeviation: z.number().default(SMALL_FINE_TUNING.headDeviation),
        seed: z.number(),
      }),
    })
    .nullable(),
  compute: z.looseObject({ deviceHours: amount, trainingFlops: amount }).nullable(),
  engine: z.looseObject({ name: z.string(), version: z.string(), device: z.string(), threads: z.int().min(0) }),
  seed: z.number(),
  programVersion: z.string(),
  measuredAt: z.iso.datetime({ offset: true }),
});

/** Writes results as a JSON list, whole or not at all. */
export async function writeResults(path: string, results: readonly EvaluationResult[]): Promise<void> {
  await writeFileAtomically(path, `${JSON.stringify(results, null, 2)}\n`);
}

/**
 * Reads a file of results.
 * @throws UserError if it cannot be read, is damaged, or is of another version; names the field
 */
export async function readResults(path: string): Promise<EvaluationResult[]> {
  const list = parseResults(path, await readText(path, LARGEST));
  if (!Array.isArray(list)) {
    throw new UserError(`${path} is not a file of results: it holds no list`, {
      expected: 'the results.json that an evaluation wrote',
    });
  }
  return list.map((entry: unknown, index) => readResult(path, entry, index + 1));
}

/**
 * Adds results to a file's list, which is made where there is none. One of the same network, data set, kind and protocol
 * is replaced. Other processes may add to it at the same time: each waits until the one before is done.
 * @throws UserError if a file is there that cannot be read; it is left as it is
 */
export async function addResults(path: string, results: readonly EvaluationResult[]): Promise<EvaluationResult[]> {
  const lock = new FileLock(`${path}.lock`, { thing: path, doing: 'adding to it' });
  await lock.acquire(LONGEST_WAIT);
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
export function mergeResults(
  before: readonly EvaluationResult[],
  results: readonly EvaluationResult[],
): EvaluationResult[] {
  const merged = new Map<string, EvaluationResult>();
  for (const result of [...before, ...results]) merged.set(resultKey(result), result);
  return [...merged.values()];
}

function resultKey(result: EvaluationResult): string {
  const { dataSet, dataDescription, kind, protocolName, selection, fineTuning } = result;
  const tuned = fineTuning?.protocol ?? null;
  return JSON.stringify([networkKey(result), dataSet, dataDescription, kind, protocolName, selection, tuned]);
}

function readResult(path: string, entry: unknown, number: number): EvaluationResult {
  const format = z.looseObject({ format: z.string() }).safeParse(entry);
  if (format.success && format.data.format !== FORMAT) {
    throw new UserError(`${path}: result ${number} has the format '${format.data.format}'`, {
      expected: FORMAT,
      remedy: 'use the version of the program that wrote it, or measure again',
    });
  }
  const read = evaluation.safeParse(entry);
  if (read.success) return read.data;
  const issue = read.error.issues[0];
  const field = issue?.path.map(String).join('.') || 'the whole of it';
  throw new UserError(`${path}: result ${number} is damaged at ${field}: ${issue?.message ?? 'not readable'}`, {
    expected: 'a result as an evaluation wrote it',
    remedy: 'put the file back as it was, or remove it and measure again',
  });
}

function parseResults(path: string, content: string): unknown {
  try {
    return parseJson(content);
  } catch (error) {
    throw new UserError(
      `${path} is not whole: ${reasonOf(error)}`,
      { expected: 'JSON, as an evaluation wrote it', remedy: 'remove it and measure again' },
      { cause: error },
    );
  }
}
