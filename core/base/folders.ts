import { existsSync, realpathSync, statSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, relative, resolve, sep } from 'node:path';
import { requireWritableName } from './atomic.js';
import { attempt, UserError } from './errors.js';
import { nameFromBytes, systemPath } from './file-names.js';

/**
 * Makes a folder and those above it that are missing. Node's own recursive mkdir is not used, because it never returns
 * where the system refuses with 'no such file' (under /proc, for one).
 */
export async function makeFolders(path: string): Promise<void> {
  requireWritableName(path);
  const missing: string[] = [];
  for (let folder = resolve(path); !existsSync(folder); folder = dirname(folder)) missing.unshift(folder);
  for (const folder of missing) {
    await mkdir(folder).catch((error: unknown) => {
      if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory()) throw error; // another process made it meanwhile
    });
  }
}

/**
 * Refuses an output folder inside a folder of pictures, where pictures that are drawn would be taken for data.
 * @param data what was named as data, data sets with where they lie too; what does not exist is passed over
 * @param names of data sets
 * @param what the folder is
 */
export function checkOutside(
  out: string,
  data: readonly string[],
  names: readonly string[],
  what = "the run's folder",
): void {
  const place = realPlace(out);
  const folders = data
    .filter((word) => !names.includes(word))
    .map((word) => (names.some((name) => word.startsWith(`${name}:`)) ? word.slice(word.indexOf(':') + 1) : word));
  const inside = folders.find((path) => {
    const way = attempt(() => relative(realPath(path), place), '..');
    return !isAbsolute(way) && way !== '..' && !way.startsWith(`..${sep}`);
  });
  if (inside === undefined) return;
  throw new UserError(`${what} ${out} lies inside the data ${inside}`, {
    expected: 'a folder beside the pictures, so that what is written there is not taken for data',
    remedy: 'choose another --out',
  });
}

/**
 * Refuses a path where no picture may be written, before the work for it is done.
 * @param flag that named it
 * @param force whether a file that is there may be replaced
 * @param example the name of such a file
 */
export function checkOutputFile(out: string, flag: string, force: boolean, example = 'preview.png'): void {
  const found = statSync(out, { throwIfNoEntry: false });
  if (found?.isDirectory()) {
    throw new UserError(`${out} is a folder`, {
      expected: 'the name of a file',
      remedy: `use ${flag} ${join(out, example)}`,
    });
  }
  if (found && !force) {
    throw new UserError(`${out} exists`, {
      expected: 'a new file',
      remedy: `use --force to replace it, or another ${flag}`,
    });
  }
}

/** Where a path leads that may not exist yet: its nearest folder that does, with links resolved, and the rest. */
function realPlace(path: string): string {
  const full = resolve(path);
  const real = attempt(() => realPath(full), null);
  if (real !== null || dirname(full) === full) return real ?? full;
  return join(realPlace(dirname(full)), basename(full));
}

/** @throws Error of the system if it does not exist */
function realPath(path: string): string {
  return nameFromBytes(realpathSync(systemPath(path), 'buffer'));
}
