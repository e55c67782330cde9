import { readdir, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { explainSystemError, UserError } from '../base/errors.js';
import { type EvaluationResult, readResults } from '../eval/results.js';

/** The name of a file of results, and folders below the one that is searched for it: runs/NAME/evaluation/SOMETHING. */
const RESULTS_FILE = 'results.json';
const RESULTS_DEPTH = 4;

/** A result, and the absolute path of the file that holds it. */
export type FoundResult = { path: string; result: EvaluationResult };

/**
 * The results in files and folders; folders are searched by names only, four levels deep, without hidden ones and installed
 * packages. A damaged file that is named is an error; one that was only found may be another program's, and is left out.
 * @param leftOut is told why
 * @throws UserError if a path does not exist or cannot be read
 */
export async function findResults(paths: readonly string[], leftOut: (error: UserError) => void) {
  const files = new Map<string, { isNamed: boolean }>();
  for (const given of paths) {
    const path = resolve(given);
    const entry = await stat(path).catch((error: unknown) => {
      throw explainSystemError(error, given);
    });
    const isNamed = !entry.isDirectory();
    const found = isNamed ? [path] : await searchFolder(path, RESULTS_FILE, RESULTS_DEPTH);
    for (const file of found.filter((file) => !files.has(file))) files.set(file, { isNamed });
  }
  const results: FoundResult[] = [];
  for (const [path, { isNamed }] of files) {
    try {
      results.push(...(await readResults(path)).map((result) => ({ path, result })));
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
