import { existsSync } from 'node:fs';
import { access, constants, mkdir, readdir, rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { explainSystemError, explainWriteError, UserError } from '../errors.js';
import { UNFINISHED } from './atomic.js';

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
}

export function runFolder(path: string): RunFolder {
  return {
    path,
    config: join(path, 'config.yaml'),
    log: join(path, 'log.jsonl'),
    table: join(path, 'log.csv'),
    checkpoints: join(path, 'checkpoints'),
    skipped: join(path, 'skipped.txt'),
    masks: join(path, 'masks.png'),
    curves: join(path, 'curves.png'),
  };
}

/**
 * Makes the folder of a new run. A run that is there is not touched unless `force` is given, which removes its files,
 * and only those.
 * @throws UserError if the folder holds a run, holds something else, or cannot be made or written
 */
export async function createRunFolder(path: string, force: boolean): Promise<RunFolder> {
  const folder = runFolder(path);
  const entries = await listEntries(path);
  if (existsSync(folder.config)) {
    if (!force) {
      throw new UserError(`${path} already holds a run`, {
        expected: 'a new folder',
        remedy: `use --resume to go on with it, --force to delete it and start anew, or another --out`,
      });
    }
    await removeRun(folder);
  } else if (entries.length > 0) {
    throw new UserError(`${path} is not empty and holds no run`, {
      expected: 'a new or empty folder',
      remedy: 'choose another --out, or empty the folder yourself',
    });
  }
  try {
    await makeFolders(folder.checkpoints);
    await access(path, constants.W_OK);
  } catch (error) {
    throw explainWriteError(error, path);
  }
  return folder;
}

/**
 * The folder of a run that is to go on, rid of files that were being written when it stopped.
 * @throws UserError if there is no run
 */
export async function openRunFolder(path: string): Promise<RunFolder> {
  const folder = runFolder(path);
  if (!existsSync(folder.config)) {
    throw new UserError(`there is no run to resume in ${path}`, {
      expected: 'a run folder with its config.yaml',
      remedy: 'check --out, or leave --resume out to start a run',
    });
  }
  for (const part of [path, folder.checkpoints]) {
    for (const name of await listEntries(part)) {
      if (name.endsWith(UNFINISHED)) await rm(join(part, name), { force: true });
    }
  }
  return folder;
}

/**
 * Makes a folder and those above it that are missing. Node's own recursive mkdir is not used, because it never returns
 * where the system refuses with 'no such file' (under /proc, for one).
 */
async function makeFolders(path: string): Promise<void> {
  const missing: string[] = [];
  for (let folder = resolve(path); !existsSync(folder); folder = dirname(folder)) missing.unshift(folder);
  for (const folder of missing) await mkdir(folder);
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

async function removeRun(folder: RunFolder): Promise<void> {
  try {
    // The configuration goes last: as long as it is there, the folder is known to hold a run.
    for (const file of [folder.checkpoints, folder.log, folder.table, folder.skipped, folder.masks, folder.curves]) {
      await rm(file, { recursive: true, force: true });
    }
    await rm(folder.config, { force: true });
  } catch (error) {
    throw explainSystemError(error, folder.path);
  }
}
