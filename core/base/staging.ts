import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { explainSystemError, isSystemError } from './errors.js';
import { judgeOwner, readHolder, thisProcess } from './lock.js';

/** Begins the names of folders in which something is being made. */
const PREFIX = 'unfinished-';
/** The file in each that says whose it is. */
const OWNER = 'owner.json';
/** One that names no owner, and to which nothing was added for so many milliseconds, belongs to nobody. */
const LEFT_OVER_MS = 10 * 60 * 1000;

/**
 * Makes a folder beside its place, then moves it there. Where that fails, nothing has changed; several processes may do so at
 * once, and one of them is the last.
 * @param make gets a folder for all that is needed on the way, and gives the one in it that is moved
 * @throws UserError where the system refuses
 */
export async function buildFolder(folder: string, make: (staging: string) => Promise<string>): Promise<void> {
  await inStaging(dirname(folder), async (staging) => replaceFolder(await make(staging), folder, join(staging, 'old')));
}

/** Removes a folder, and what was left unfinished beside it. Gives false where it was not there. */
export async function removeFolder(folder: string): Promise<boolean> {
  if (!existsSync(dirname(folder))) return false;
  const isThere = existsSync(folder);
  // Set aside first, so that no part of it is taken for the whole by whoever looks while it is removed.
  await inStaging(dirname(folder), (staging) => setAside(folder, join(staging, 'old')));
  return isThere;
}

/**
 * Works in a new folder within `parent`, which is removed at the end. Those that were left by processes that died are removed
 * first.
 * @throws UserError where the system refuses
 */
export async function inStaging(parent: string, work: (staging: string) => Promise<void>): Promise<void> {
  let staging = '';
  try {
    await mkdir(parent, { recursive: true });
    await removeLeftOvers(parent);
    staging = await mkdtemp(join(parent, PREFIX));
    await writeFile(join(staging, OWNER), JSON.stringify(thisProcess('0')));
    await work(staging);
  } catch (error) {
    throw explainSystemError(error, parent);
  } finally {
    if (staging) await rm(staging, { recursive: true, force: true });
  }
}

async function removeLeftOvers(parent: string): Promise<void> {
  const names = await readdir(parent).catch(() => []); // it may not be there
  for (const name of names.filter((each) => each.startsWith(PREFIX))) {
    const path = join(parent, name);
    if (await isLeftOver(path)) await rm(path, { recursive: true, force: true });
  }
}

async function isLeftOver(staging: string): Promise<boolean> {
  const owner = await readHolder(join(staging, OWNER));
  if (owner !== 'none' && owner !== null) return judgeOwner(owner) === 'gone';
  const found = await stat(staging).catch(() => null); // it is gone by now
  return found !== null && Date.now() - found.mtimeMs > LEFT_OVER_MS;
}

/** Puts a folder in the place of another, which is there or not. */
async function replaceFolder(from: string, to: string, old: string): Promise<void> {
  await setAside(to, old);
  await rename(from, to).catch((error: unknown) => {
    // Another process was quicker with the same.
    if (!isSystemError(error, 'ENOTEMPTY', 'EEXIST')) throw error;
  });
}

async function setAside(folder: string, old: string): Promise<void> {
  await rename(folder, old).catch((error: unknown) => {
    if (!isSystemError(error, 'ENOENT')) throw error;
  });
}
