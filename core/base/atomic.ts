import { randomBytes } from 'node:crypto';
import { type FileHandle, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { explainWriteError, UserError } from './errors.js';

/** Ends the name of a file that is still being written. One that is found later was left by a process that died. */
export const UNFINISHED = '.unfinished';
/** An unfinished file that was not touched for so many milliseconds belongs to nobody. */
const LEFT_OVER = 10 * 60 * 1000;
/** Bytes of a name that an unfinished file takes over; systems allow 255 for a whole name. */
const MAX_STEM_BYTES = 200;

/** Gives a finished file its name. */
export type GiveName = (temporary: string, path: string) => Promise<void>;

/**
 * Writes a file whole or not at all: under a temporary name of its own, synced to disk, then renamed. Of several
 * processes that write the same file each writes it whole, and the last one's stays.
 * @param giveName what is done instead of renaming
 * @throws UserError if the disk is full or the path cannot be written; a file of that name from before is untouched
 */
export async function writeAtomically(
  path: string,
  write: (file: FileHandle) => Promise<void>,
  giveName: GiveName = rename,
): Promise<void> {
  requireWritableName(path);
  const temporary = unfinishedName(path);
  try {
    const file = await open(temporary, 'wx');
    try {
      await write(file);
      await file.sync();
    } finally {
      await file.close();
    }
    await giveName(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {}); // the first failure is the one to report
    throw explainWriteError(error, path);
  }
  await syncFolder(dirname(path));
}

/** Writes text or bytes whole or not at all. */
export async function writeFileAtomically(path: string, content: string | Uint8Array): Promise<void> {
  await writeAtomically(path, (file) => file.writeFile(content));
}

/** @throws UserError if a path is not UTF-8: such names are read, not made */
export function requireWritableName(path: string): void {
  if (path.isWellFormed()) return;
  throw new UserError(`${path} cannot be written: its name is not UTF-8`, { remedy: 'choose another name' });
}

/** A name beside `path` that nobody else uses while the file is written. */
export function unfinishedName(path: string): string {
  const name = basename(path);
  const stem = Buffer.byteLength(name) > MAX_STEM_BYTES ? 'long-name' : name;
  return join(dirname(path), `${stem}.${randomBytes(4).toString('hex')}${UNFINISHED}`);
}

/** Whether a file of this name is the unfinished one of another file's. */
export function isUnfinished(name: string, of = ''): boolean {
  return name.startsWith(of) && name.endsWith(UNFINISHED);
}

/**
 * Removes the files of a folder that were being written when their processes died. Others may be writing there: what was
 * touched in the last ten minutes stays.
 */
export async function removeLeftOvers(folder: string): Promise<void> {
  for (const name of (await readdir(folder)).filter((name) => isUnfinished(name))) {
    const path = join(folder, name);
    const found = await stat(path).catch(() => null); // it has its name now
    if (found?.isFile() && Date.now() - found.mtimeMs > LEFT_OVER) await rm(path, { force: true });
  }
}

/** Makes a rename last through a power cut, where the system can do that. */
async function syncFolder(folder: string): Promise<void> {
  await open(folder, 'r')
    .then((handle) => handle.sync().finally(() => handle.close()))
    .catch(() => {}); // Windows cannot sync a folder; the file itself is synced
}
