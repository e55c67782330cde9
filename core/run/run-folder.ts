import { existsSync } from 'node:fs';
import { access, constants, readdir, rm, rmdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { z } from 'zod';
import { isUnfinished, writeFileAtomically } from '../base/atomic.js';
import { explainSystemError, explainWriteError, isMissing, UserError } from '../base/errors.js';
import { makeFolders } from '../base/folders.js';
import { FileLock } from '../base/lock.js';
import { PROGRAM } from '../base/program.js';
import { readText, tryJson } from '../base/text.js';
import { isCheckpoint } from '../checkpoint/folder.js';
import { isEventFile } from '../report/event-file.js';
import { type Verdicts, verdictsSchema } from './monitors.js';
import { probedStepSchema } from './probing.js';

const CHECKPOINTS = 'checkpoints';
const LOCK = 'run.lock';
const STATE_FORMAT = `${PROGRAM}-run-state-1`;
/** Most bytes of a state.json. */
const LARGEST_STATE = 2 ** 20;

/** The files of a run. Nothing else is ever written. */
export type RunFolder = Readonly<ReturnType<typeof runFolder>>;

export function runFolder(path: string) {
  return {
    path,
    config: join(path, 'config.yaml'),
    log: join(path, 'log.jsonl'),
    table: join(path, 'log.csv'),
    checkpoints: join(path, CHECKPOINTS),
    skipped: join(path, 'skipped.txt'),
    masks: join(path, 'masks.png'),
    curves: join(path, 'curves.png'),
    /** The folder of what TensorBoard reads. */
    tensorboard: join(path, 'tensorboard'),
    /** How the run stands. */
    state: join(path, 'state.json'),
    /** There while a process trains. */
    lock: join(path, LOCK),
    listing: join(path, 'listing.bin'),
  };
}

/** The lock that keeps a run's folder to one process. */
export function runLock(path: string): FileLock {
  return new FileLock(runFolder(path).lock, { thing: 'the run', doing: 'training it' });
}

/**
 * Says before any work is done whether a new run can go into a folder. What a process that died at its start left there
 * counts as nothing.
 * @param force whether a run that is there may be deleted
 * @throws UserError if the folder holds a run that is to be kept, or something else, or cannot be read
 */
export async function checkFolder(path: string, force: boolean): Promise<void> {
  const { config, checkpoints } = runFolder(path);
  const names = await listEntries(path);
  const inCheckpoints = names.includes(CHECKPOINTS) ? await listEntries(checkpoints) : [];
  const isLeftOver = (name: string) => name === CHECKPOINTS || isUnfinished(name) || isLock(name);
  const isFree = [...names, ...inCheckpoints].every(isLeftOver);
  const holdsRun = existsSync(config); // looked for last: a run may be beginning at this moment
  if (holdsRun && !force) {
    throw new UserError(`${path} already holds a run`, {
      expected: 'a new folder',
      remedy: `use --resume to go on with it, --force to delete it and start anew, or another --out`,
    });
  }
  if (!holdsRun && !isFree) {
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
  return readdir(path).catch((error: unknown) => {
    if (isMissing(error)) return [];
    throw explainSystemError(error, path);
  });
}

/** Removes what a run wrote. Files of other names are left where they are. */
async function removeRun(folder: RunFolder): Promise<void> {
  const { path, checkpoints, tensorboard, lock: _held, config, ...files } = folder;
  try {
    for (const name of await listEntries(checkpoints)) {
      if (isCheckpoint(name)) await rm(join(checkpoints, name));
    }
    for (const name of await listEntries(tensorboard)) {
      if (isEventFile(name)) await rm(join(tensorboard, name));
    }
    await rmdir(tensorboard).catch(() => {}); // it holds files of others, or was not there
    // The configuration goes last: as long as it is there, the folder is known to hold a run.
    for (const file of [...Object.values(files), config]) await rm(file, { force: true });
    await removeUnfinished(folder);
  } catch (error) {
    throw explainSystemError(error, path);
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

const stateSchema = z.object({
  /** What the process that trained last said of itself. One that was killed says `running` for ever. */
  state: z.enum(['running', 'done', 'interrupted', 'failed']),
  /** Why it failed or was interrupted. */
  reason: z.string().nullable(),
  /** Step of the newest checkpoint. */
  savedStep: z.int().min(0),
  /** What monitors make of it, by their names: of the last observation before that step, or before it ended. */
  verdicts: verdictsSchema.default({}),
  /** The best that an online probe told of a step; null where it told nothing. */
  probe: probedStepSchema.nullable().default(null),
});

/** What a run's state.json says. */
export type RunState = z.infer<typeof stateSchema>;

/** The content of a state.json. */
export function runStateText(state: RunState): string {
  return `${JSON.stringify({ format: STATE_FORMAT, ...state })}\n`;
}

/** Writes a state.json whole or not at all. */
export async function writeRunState(path: string, state: RunState): Promise<void> {
  await writeFileAtomically(path, runStateText(state));
}

/** Writes how a run ended; without verdicts, those that it was saved with stay. */
export async function endRunState(path: string, state: RunState['state'], reason: string | null, verdicts?: Verdicts) {
  const said = await readRunState(path);
  const { savedStep = 0, probe = null } = said ?? {};
  await writeRunState(path, { state, reason, savedStep, verdicts: verdicts ?? said?.verdicts ?? {}, probe });
}

/** Reads a state.json; null where there is none that can be read, as in runs of earlier versions. */
export async function readRunState(path: string): Promise<RunState | null> {
  const said = tryJson(await readText(path, LARGEST_STATE).catch(() => '')); // runs can do without it
  const { success } = z.looseObject({ format: z.literal(STATE_FORMAT) }).safeParse(said);
  return success ? stateSchema.nullable().catch(null).parse(said) : null; // without its format
}
