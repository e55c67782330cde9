import { randomBytes } from 'node:crypto';
import { link, open, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { UNFINISHED } from '../atomic.js';
import { explainWriteError, UserError } from '../errors.js';
import { judgeOwner, type LockOwner, parseOwner, thisProcess } from './lock-owner.js';

/** Attempts to take a lock that others take and give back at the same time. */
const ATTEMPTS = 20;

/**
 * Keeps a run's folder to one process. The lock is a file that says whose it is; it is made in one move, so that of two
 * processes only one can make it.
 *
 * A lock whose process is gone is replaced. So that two processes never both replace it, whoever wants to must first take
 * a second lock, named by the nonce of the first: only its holder may replace a lock of that nonce, and only as long as
 * the lock still has it. The second lock is taken by the same rules.
 */
export class RunLock {
  #nonce: string | null = null;

  constructor(private readonly path: string) {}

  /**
   * Takes the lock.
   * @throws UserError if another process has it, or the file cannot be written
   */
  async acquire(): Promise<void> {
    this.#nonce = await acquire(this.path);
  }

  /** @throws UserError if another process has the lock now */
  async check(): Promise<void> {
    const owner = await readOwner(this.path);
    if (owner !== 'none') refuseUnlessGone(this.path, owner);
  }

  /** Gives the lock back, where it was taken and is still this process's. */
  async release(): Promise<void> {
    if (this.#nonce === null) return;
    const owner = await readOwner(this.path).catch(() => 'none' as const); // the folder may be gone
    if (typeof owner === 'object' && owner?.nonce === this.#nonce) await rm(this.path, { force: true }).catch(() => {});
    this.#nonce = null;
  }
}

/** What a lock file says: its owner, null where it cannot be understood, or 'none' where there is no such file. */
export async function readOwner(path: string): Promise<LockOwner | null | 'none'> {
  try {
    return parseOwner(await readFile(path, 'utf8'));
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return 'none';
    throw explainWriteError(error, path);
  }
}

/** @returns the nonce of the lock that was taken */
async function acquire(path: string): Promise<string> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const nonce = randomBytes(6).toString('hex');
    const temporary = `${path}.${nonce}${UNFINISHED}`;
    try {
      await writeSynced(temporary, `${JSON.stringify(thisProcess(nonce))}\n`);
      if (await takeOrReplace(temporary, path)) return nonce;
    } catch (error) {
      throw explainWriteError(error, path);
    } finally {
      await rm(temporary, { force: true }).catch(() => {});
    }
  }
  throw new UserError(`${path} is taken and given back again and again`, { remedy: 'try again in a moment' });
}

/** Writes a new file that is whole even after a power cut. */
async function writeSynced(path: string, content: string): Promise<void> {
  const file = await open(path, 'wx');
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Gives a finished lock file its name. @returns false where another process was quicker, or removed the file */
async function takeOrReplace(temporary: string, path: string): Promise<boolean> {
  if (await nameExclusively(temporary, path)) return true;
  const owner = await readOwner(path);
  if (owner === 'none') return false;
  refuseUnlessGone(path, owner);
  const claim = `${path}.${owner.nonce}`;
  await acquire(claim);
  try {
    const now = await readOwner(path);
    if (now === 'none' || now?.nonce !== owner.nonce) return false;
    await rename(temporary, path);
    return true;
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return false;
    throw error;
  } finally {
    await rm(claim, { force: true });
  }
}

/** Gives a file a name that no other file has. @returns false where one has it, or the file is gone */
async function nameExclusively(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if (isSystemError(error, 'EEXIST', 'ENOENT')) return false;
    if (!isSystemError(error, 'EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK')) throw error;
  }
  try {
    await writeFile(to, await readFile(from), { flag: 'wx' }); // some file systems have no links
    return true;
  } catch (error) {
    if (isSystemError(error, 'EEXIST', 'ENOENT')) return false;
    throw error;
  }
}

/** @throws UserError unless the owner is a process that is gone */
function refuseUnlessGone(path: string, owner: LockOwner | null): asserts owner is LockOwner {
  if (owner === null) {
    throw new UserError(`${path}, the lock of the run, cannot be understood`, {
      expected: 'a lock as ijepa pretrain writes it',
      remedy: 'if no process trains there, remove it and try again',
    });
  }
  const verdict = judgeOwner(owner);
  if (verdict === 'gone') return;
  const since = `since ${owner.since.replace(/\.\d+Z$/, 'Z')}`;
  if (verdict === 'alive') {
    throw new UserError(`the run is in use: process ${owner.pid} has been training it ${since} (${path})`, {
      expected: 'one process a run',
      remedy: `wait for it, or stop it, which saves: kill ${owner.pid}`,
    });
  }
  throw new UserError(
    `the run is locked by process ${owner.pid} of the machine '${owner.host}', ${since}; from here it cannot be told whether that still runs`,
    { expected: 'one process a run', remedy: `if it does not, remove ${path} and try again` },
  );
}

function isSystemError(error: unknown, ...codes: string[]): boolean {
  return error instanceof Error && 'code' in error && codes.includes(String(error.code));
}
