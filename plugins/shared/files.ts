import { readdir, stat } from 'node:fs/promises';
import { isAbsolute, join, posix } from 'node:path';
import { PluginError, shownName, systemPath, textOf, withFiles } from '../../core/plugin.js';

/** The folder that the user named after a data set's name. */
export async function requireFolder(dataSet: string, argument: string | null, holds: string): Promise<string> {
  if (argument === null || argument === '') {
    throw new PluginError(`${dataSet} needs the folder in which it lies`, {
      expected: holds,
      remedy: `name it after a colon: ${dataSet}:path/to/folder`,
    });
  }
  if ((await kindOf(argument)) === 'folder') return argument;
  throw new PluginError(`${argument} is not a folder, or does not exist`, {
    expected: holds,
    remedy: `check the path after ${dataSet}:`,
  });
}

/** What lies at a path; null where nothing can be seen that has content, such as a pipe. */
export async function kindOf(path: string): Promise<'file' | 'folder' | null> {
  return stat(systemPath(path)).then(
    (found) => (found.isDirectory() ? 'folder' : found.isFile() ? 'file' : null),
    () => null,
  );
}

export async function isFolder(path: string): Promise<boolean> {
  return (await kindOf(path)) === 'folder';
}

export async function isFile(path: string): Promise<boolean> {
  return (await kindOf(path)) === 'file';
}

/** The first of some paths at which there is a file, or undefined. */
export async function firstFile(paths: readonly string[]): Promise<string | undefined> {
  for (const path of paths) if (await isFile(path)) return path;
  return undefined;
}

/** The first of some paths at which there is a folder, or undefined. */
export async function firstFolder(paths: readonly string[]): Promise<string | undefined> {
  for (const path of paths) if (await isFolder(path)) return path;
  return undefined;
}

/** How far below a folder data sets are looked for: `data/clevr/CLEVR_v1.0` is found in `data`. */
const LEVELS = 2;

/** The folder itself, or the first one below it, the nearest first, that holds a data set; null where none does. */
export async function locateIn(folder: string, holds: (folder: string) => Promise<boolean>): Promise<string | null> {
  let level = [folder];
  for (let depth = 0; depth <= LEVELS; depth++) {
    for (const place of level) if (await holds(place)) return place;
    if (depth < LEVELS) level = (await Promise.all(level.map(foldersIn))).flat();
  }
  return null;
}

/** The folders in a folder, by name; none where it cannot be read. */
async function foldersIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  const found: string[] = [];
  for (const { name } of entries.sort(byName)) {
    const path = join(folder, name);
    if (!name.startsWith('.') && (await isFolder(path))) found.push(path);
  }
  return found;
}

/**
 * A path out of an annotation file, with '/'.
 * @param where the file and place that names it, for messages
 * @throws PluginError if it would leave the folder of the images
 */
export function safePath(path: string, where: string): string {
  const clean = posix.normalize(path.replaceAll('\\', '/'));
  if (
    path !== '' &&
    !isAbsolute(path) &&
    !/^(?:\/|[A-Za-z]:)/.test(clean) &&
    clean !== '.' &&
    !/^\.\.(?:\/|$)/.test(clean)
  )
    return clean;
  throw new PluginError(`${where} names '${path}', which is not inside the folder of the images`, {
    expected: 'a path below that folder',
    remedy: 'get the file anew from its source; do not trust this one',
  });
}

/** Reads a text whole, with or without a byte order mark. */
export async function readText(path: string): Promise<string> {
  return textOf(await readBytes(path), path);
}

/** Reads a file whole. */
export async function readBytes(path: string): Promise<Buffer> {
  return withFiles(({ readRegularFile }) => readRegularFile(path)).catch((error: unknown) => {
    throw readProblem(path, error);
  });
}

/** A failure of the file system, told as one of the data set. */
export function readProblem(path: string, error: unknown): PluginError {
  const reason = error instanceof Error ? error.message : String(error);
  return new PluginError(`${shownName(path)} cannot be read: ${reason}`, {
    expected: 'a readable file',
    remedy: 'check the path and its permissions',
  });
}

/** Order of code units: the same in every locale. */
export function byName(a: { name: string }, b: { name: string }): number {
  return a.name < b.name ? -1 : Number(a.name > b.name);
}
