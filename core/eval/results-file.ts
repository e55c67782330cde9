import { writeFileAtomically } from '../base/atomic.js';
import { isMissing, reasonOf, UserError } from '../base/errors.js';
import { FileLock } from '../base/lock.js';
import { parseJson, readText } from '../base/text.js';
import { type EvaluationResult, evaluationResult, FORMAT } from './result.js';

/** Bytes of a file: thousands of evaluations. */
const MAX_BYTES = 2 ** 26;
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
  const text = await readText(path, MAX_BYTES);
  let list: unknown;
  try {
    list = parseJson(text);
  } catch (error) {
    const advice = { expected: 'JSON, as an evaluation wrote it', remedy: 'remove it and measure again' };
    throw new UserError(`${path} is not whole: ${reasonOf(error)}`, advice, { cause: error });
  }
  if (Array.isArray(list)) return list.map((entry: unknown, index) => readResult(path, entry, index + 1));
  throw new UserError(`${path} is not a file of results: it holds no list`, {
    expected: 'the results.json that an evaluation wrote',
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
export function mergeResults(
  before: readonly EvaluationResult[],
  results: readonly EvaluationResult[],
): EvaluationResult[] {
  const merged = new Map<string, EvaluationResult>();
  for (const result of [...before, ...results]) merged.set(resultKey(result), result);
  return [...merged.values()];
}

export function resultKey(result: EvaluationResult): string {
  const { dataSet, dataDescription, kind, protocolName, selection, fineTuning } = result;
  const tuned = fineTuning?.protocol ?? null;
  return JSON.stringify([networkKey(result), dataSet, dataDescription, kind, protocolName, selection, tuned]);
}

/** What tells networks apart. Random ones differ by seed. */
export function networkKey({ network, seed }: EvaluationResult): string {
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
  const { success, error } = evaluationResult.safeParse(entry);
  if (success) return entry as EvaluationResult; // with what a later version may have added
  const issue = error.issues[0];
  const field = issue?.path.map(String).join('.') || 'the whole of it';
  throw new UserError(`${path}: result ${number} is damaged at ${field}: ${issue?.message ?? 'not readable'}`, {
    expected: 'a result as an evaluation wrote it',
    remedy: 'put the file back as it was, or remove it and measure again',
  });
}
