import { existsSync } from 'node:fs';
import { access, constants, readdir, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { isUnfinished } from '../base/atomic.js';
import { explainSystemError, explainWriteError, UserError } from '../base/errors.js';
import { makeFolders } from '../base/folders.js';
import { FileLock } from '../base/lock.js';
import { isCheckpoint } from '../checkpoint/names.js';

const CHECKPOINTS = 'checkpoints';
const LOCK = 'run.lock';

/** The files of a run. Nothing else is ever written. */
export interface RunFolder {
  readonly path: string;
  readonly config: string;
  readonly log: string;
  readonly table: string;
  readonly checkpoints: string;
  readonly skipped: string;
  readonly masks: string;
  readonly curves: string;
  /** How the run stands. */
  readonly state: string;
  /** There while a process trains. */
  readonly lock: string;
  readonly listing: string;
}

export function runFolder(path: string): RunFolder {
  return {
    path,
    config: join(path, 'config.yaml'),
    log: join(path, 'log.jsonl'),
    table: join(path, 'log.csv'),
    checkpoints: join(path, CHECKPOINTS),
    skipped: join(path, 'skipped.txt'),
    masks: join(path, 'masks.png'),
    curves: join(path, 'curves.png'),
    state: join(path, 'state.json'),
    lock: join(path, LOCK),
    listing: join(path, 'listing.bin'),
  };
}

/** The lock that keeps a run's folder to one process. */
export function runLock(path: string): FileLock {
  return new FileLock(runFolder(path).lock, { thing: 'the run', doing: 'training it' });
}

/** Whether a folder is free for a new run, holds a run, or holds something else. */
export type FolderContent = 'free' | 'run' | 'other';

/**
 * Looks at the folder that is named for a run. What a process that died at its start left there counts as nothing.
 * @throws UserError if it cannot be read
 */
export async function inspectFolder(path: string): Promise<FolderContent> {
  const folder = runFolder(path);
  const names = await listEntries(path);
  const inCheckpoints = names.includes(CHECKPOINTS) ? await listEntries(folder.checkpoints) : [];
  const isLeftOver = (name: string) => name === CHECKPOINTS || isUnfinished(name) || isLock(name);
  const isFree = [...names, ...inCheckpoints].every(isLeftOver);
  if (existsSync(folder.config)) return 'run'; // looked for last: a run may be beginning at this moment
  return isFree ? 'free' : 'other';
}

/**
 * Says before any work is done whether a new run can go into a folder.
 * @param force whether a run that is there may be deleted
 * @throws UserError if the folder holds a run that is to be kept, or something else
 */
export async function checkFolder(path: string, force: boolean): Promise<void> {
  const content = await inspectFolder(path);
  if (content === 'run' && !force) {
    throw new UserError(`${path} already holds a run`, {
      expected: 'a new folder',
      remedy: `use --resume to go on with it, --force to delete it and start anew, or another --out`,
    });
  }
  if (content === 'other') {
    throw new UserError(`${path} is not empty and holds no run`, {
      expected: 'a new or empty folder',
      remedy: 'choose another --out, or empty the folder yourself',
    });
  }
}

/**
 * Makes the folder of a new run and takes its lock; the files of a run that is there are removed, and only those.
 * @param force whether a run that is there may be deleted
 * @throws UserError if it cannot be made or written, another process trains there, or the folder is not free any more
 */
export async function createRunFolder(path: string, force: boolean, lock: FileLock): Promise<RunFolder> {
  const folder = runFolder(path);
  try {
    await makeFolders(folder.checkpoints);
    await access(path, constants.W_OK);
  } catch (error) {
    throw explainWriteError(error, path);
  }
  await lock.acquire();
  await checkFolder(path, force);
  await removeRun(folder);
  return folder;
}

/**
 * The folder of a run that is to go on, locked, and rid of files that were being written when it stopped.
 * @throws UserError if there is no run, or another process trains it
 */
export async function openRunFolder(path: string, lock: FileLock): Promise<RunFolder> {
  const folder = runFolder(path);
  if (!existsSync(folder.config)) {
    throw new UserError(`there is no run to resume in ${path}`, {
      expected: 'a run folder with its config.yaml',
      remedy: 'check --out, or leave --resume out to start a run',
    });
  }
  await lock.acquire();
  try {
    await makeFolders(folder.checkpoints);
    await removeUnfinished(folder);
  } catch (error) {
    throw explainWriteError(error, path);
  }
  return folder;
}

/** The names in a folder; none where it does not exist. */
async function listEntries(path: string): Promise<string[]> {
  try {
    return await readdir(path);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw explainSystemError(error, path);
  }
}

/** Removes what a run wrote. Files of other names are left where they are. */
async function removeRun(folder: RunFolder): Promise<void> {
  const { checkpoints, config, log, table, skipped, masks, curves, listing, state } = folder;
  try {
    for (const name of await listEntries(checkpoints)) {
      if (isCheckpoint(name)) await rm(join(checkpoints, name));
    }
    // The configuration goes last: as long as it is there, the folder is known to hold a run.
    for (const file of [log, table, skipped, masks, curves, listing, state, config]) await rm(file, { force: true });
    await removeUnfinished(folder);
  } catch (error) {
    throw explainSystemError(error, folder.path);
  }
}

/**
 * Removes what processes that died were writing, or making a lock of; the lock itself stays: it is this process's. Only
 * its holder writes files of these names. Others, such as results, may be being written by an evaluation.
 */
async function removeUnfinished({ path, checkpoints, ...files }: RunFolder): Promise<void> {
  const own = Object.values(files).map((file) => basename(file));
  for (const name of await listEntries(checkpoints)) {
    if (isUnfinished(name)) await rm(join(checkpoints, name), { force: true });
  }
  for (const name of await listEntries(path)) {
    const isOwn = isUnfinished(name) && own.some((file) => name.startsWith(`${file}.`));
    if (isOwn || (isLock(name) && name !== LOCK)) await rm(join(path, name), { force: true });
  }
}

/** Whether a file of this name is the lock of a run, or one that is needed to replace it. */
function isLock(name: string): boolean {
  return name === LOCK || name.startsWith(`${LOCK}.`);
}
