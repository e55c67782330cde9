import { readdir, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { explainSystemError } from '../base/errors.js';

/** The name of a file of results, and folders below the one that is searched for it: runs/NAME/evaluation/SOMETHING. */
const RESULTS_FILE = 'results.json';
const RESULTS_DEPTH = 4;

/**
 * The files of results among paths of files and folders; folders are searched by names only, four levels deep, without
 * hidden ones and installed packages.
 * @returns absolute paths, and whether each was named itself
 * @throws UserError if a path does not exist or cannot be read
 */
export async function findResults(paths: readonly string[]): Promise<{ path: string; named: boolean }[]> {
  const found: { path: string; named: boolean }[] = [];
  for (const given of paths) {
    const path = resolve(given);
    const entry = await stat(path).catch((error: unknown) => {
      throw explainSystemError(error, given);
    });
    const files = entry.isDirectory() ? await searchFolder(path, RESULTS_FILE, RESULTS_DEPTH) : [path];
    found.push(...files.map((file) => ({ path: file, named: !entry.isDirectory() })));
  }
  return found;
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
