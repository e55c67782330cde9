import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { explainWriteError } from './errors.js';

/** Ends the name of a file that is still being written. One that is found later was left by a process that died. */
export const UNFINISHED = '.unfinished';

/** Gives a finished file its name. */
export type Place = (temporary: string, path: string) => Promise<void>;

/**
 * Writes a file whole or not at all: under a temporary name, synced to disk, then renamed.
 * @param place what is done instead of renaming
 * @throws UserError if the disk is full or the path cannot be written; a file of that name from before is untouched
 */
export async function writeAtomically(
  path: string,
  write: (file: FileHandle) => Promise<void>,
  place: Place = rename,
): Promise<void> {
  const temporary = path + UNFINISHED;
  try {
    const file = await open(temporary, 'w');
    try {
      await write(file);
      await file.sync();
    } finally {
      await file.close();
    }
    await place(temporary, path);
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

/** Makes a rename last through a power cut, where the system can do that. */
async function syncFolder(folder: string): Promise<void> {
  try {
    const handle = await open(folder, 'r');
    await handle.sync().finally(() => handle.close());
  } catch {
    // Windows cannot sync a folder; the file itself is synced.
  }
}
