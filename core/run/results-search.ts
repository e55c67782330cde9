import { readdir, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { explainSystemError, UserError } from '../base/errors.js';
import { type EvaluationResult, readResults } from '../eval/results.js';
import { readSegmentations, SEGMENTATION_FILE, type SegmentationResult } from '../eval/segmentation-file.js';

/** The name of a file of results, and folders below the one that is searched for it: runs/NAME/evaluation/SOMETHING. */
const RESULTS_FILE = 'results.json';
const RESULTS_DEPTH = 4;

/** A result, and the absolute path of the file that holds it. */
export type Found<Result> = { path: string; result: Result };
export type FoundResult = Found<EvaluationResult>;

/**
 * The results in files and folders; folders are searched by names only, four levels deep, without hidden ones and installed
 * packages. A damaged file that is named is an error; one that was only found may be another program's, and is left out.
 * @param leftOut is told why
 * @throws UserError if a path does not exist or cannot be read
 */
export function findResults(paths: readonly string[], leftOut: (error: UserError) => void): Promise<FoundResult[]> {
  return find(paths, { name: RESULTS_FILE, read: readResults, isOne: (file) => !isSegmentation(file) }, leftOut);
}

/** The same for linear segmentation that was measured by itself, in files of its own. */
export function findSegmentations(
  paths: readonly string[],
  leftOut: (error: UserError) => void,
): Promise<Found<SegmentationResult>[]> {
  return find(paths, { name: SEGMENTATION_FILE, read: readSegmentations, isOne: isSegmentation }, leftOut);
}

function isSegmentation(file: string): boolean {
  return basename(file) === SEGMENTATION_FILE;
}

/** What is looked for: the name of files in folders, and which of the files that are named hold it. */
interface Wanted<Result> {
  name: string;
  read(path: string): Promise<Result[]>;
  isOne(file: string): boolean;
}

async function find<Result>(
  paths: readonly string[],
  { name, read, isOne }: Wanted<Result>,
  leftOut: (error: UserError) => void,
): Promise<Found<Result>[]> {
  const files = new Map<string, { isNamed: boolean }>();
  for (const given of paths) {
    const path = resolve(given);
    const entry = await stat(path).catch((error: unknown) => {
      throw explainSystemError(error, given);
    });
    const isNamed = !entry.isDirectory();
    const found = isNamed ? [path].filter(isOne) : await searchFolder(path, name, RESULTS_DEPTH);
    for (const file of found.filter((file) => !files.has(file))) files.set(file, { isNamed });
  }
  const results: Found<Result>[] = [];
  for (const [path, { isNamed }] of files) {
    try {
      results.push(...(await read(path)).map((result) => ({ path, result })));
    } catch (error) {
      if (isNamed || !(error instanceof UserError)) throw error;
      leftOut(error);
    }
  }
  return results;
}

/** The files of a name in a folder and those below it, hidden ones and installed packages left out. */
export async function searchFolder(folder: string, file: string, depth: number): Promise<string[]> {
  // What may not be read holds nothing of the user's.
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  const found = entries.some((entry) => entry.isFile() && entry.name === file) ? [join(folder, file)] : [];
  if (depth === 0) return found;
  const folders = entries
    .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.') && entry.name !== 'node_modules')
    .map(({ name }) => name)
    .sort();
  for (const name of folders) found.push(...(await searchFolder(join(folder, name), file, depth - 1)));
  return found;
}
