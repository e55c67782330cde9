import { randomBytes } from 'node:crypto';
import { link, open, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { setTimeout } from 'node:timers/promises';
import { UNFINISHED } from './atomic.js';
import { explainWriteError, UserError } from './errors.js';
import { judgeOwner, type LockOwner, parseOwner, thisProcess } from './lock-owner.js';

/** How messages speak of what a lock keeps to one process: 'the run', 'training it'. */
export interface LockWords {
  thing: string;
  doing: string;
}

/** Milliseconds between two looks at a lock that is waited for, at most. */
const LOOK_AGAIN = 40;
/** Milliseconds after which a lock that is held for moments is void, where its process is on another machine. */
const MOMENTS = 60_000;
/** Milliseconds that a lock may take to be written, on file systems without links. */
const WRITING = 300;
/** Attempts to take a lock that others take and give back at the same time. */
const ATTEMPTS = 1000;

/**
 * Keeps something to one process by a file that says whose it is. The file gets its name in one move, so that of several
 * processes only one can make it.
 *
 * Where the process in `run.lock` is gone, whoever makes `run.lock.NONCE`, named by the nonce of the first, holds the
 * lock, unless that has ended too: then the next name is that by its nonce, and so on. The holder gives its own file the
 * first name, which ends all those chains: who made a link of one meanwhile sees that it hangs in the air.
 */
export class FileLock {
  #nonce: string | null = null;

  constructor(
    private readonly path: string,
    private readonly words: LockWords,
  ) {}

  /**
   * Takes the lock.
   * @param waitMs how long another process is waited for, of those that hold the lock for moments
   * @throws UserError if another process has it then, or the file cannot be written
   */
  async acquire(waitMs = 0): Promise<void> {
    const started = performance.now();
    const isOver = waitMs > 0 ? isGoneOrOld : isGone;
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const nonce = randomBytes(6).toString('hex');
      const holder = await take(this.path, nonce, isOver);
      if (holder === 'taken') {
        this.#nonce = nonce;
        return;
      }
      if (holder === 'again') continue;
      attempt = 0;
      if (performance.now() - started > (holder === null ? Math.max(waitMs, WRITING) : waitMs))
        throw this.#inUse(holder);
      await setTimeout(LOOK_AGAIN * Math.random());
    }
    throw new UserError(`${this.path} is taken and given back again and again`, { remedy: 'try again in a moment' });
  }

  /** @throws UserError if another process has the lock now */
  async check(): Promise<void> {
    const { holder } = await follow(this.path, isGone);
    if (holder !== 'none' && !isGone(holder)) throw this.#inUse(holder);
  }

  /** Gives the lock back, where it was taken and is still this process's. */
  async release(): Promise<void> {
    if (this.#nonce === null) return;
    const owner = await readOwner(this.path).catch(() => 'none' as const); // the folder may be gone
    if (typeof owner === 'object' && owner?.nonce === this.#nonce) await rm(this.path, { force: true }).catch(() => {});
    this.#nonce = null;
  }

  #inUse(holder: LockOwner | null): UserError {
    const { thing, doing } = this.words;
    const remedy = `remove ${this.path} and try again`;
    if (holder === null) {
      return new UserError(`${this.path}, the lock of ${thing}, cannot be understood`, {
        expected: 'a lock as this program writes it',
        remedy: `if no process is ${doing}, ${remedy}`,
      });
    }
    const { pid, host } = holder;
    const since = `since ${holder.since.replace(/\.\d+Z$/, 'Z')}`;
    const expected = 'one process at a time';
    if (judgeOwner(holder) !== 'unknown') {
      return new UserError(`${thing} is in use: process ${pid} has been ${doing} ${since} (${this.path})`, {
        expected,
        remedy: `wait for it, or stop it: kill ${pid}`,
      });
    }
    return new UserError(
      `${thing} is locked by process ${pid} of the machine '${host}', ${since}; from here it cannot be told whether that still runs`,
      { expected, remedy: `if it does not, ${remedy}` },
    );
  }
}

/** Who holds a lock, or held it and is gone; null where that cannot be understood, 'none' where there is no lock. */
export async function readHolder(path: string): Promise<LockOwner | null | 'none'> {
  return (await follow(path, isGone)).holder;
}

/** @returns who has the lock, where it is neither 'taken' by this process nor worth to be tried 'again' at once */
async function take(path: string, nonce: string, isOver: typeof isGone): Promise<'taken' | 'again' | LockOwner | null> {
  const temporary = `${path}.${nonce}${UNFINISHED}`;
  try {
    const { place, holder, links } = await follow(path, isOver);
    if (holder !== 'none' && !isOver(holder)) return holder;
    await writeSynced(temporary, `${JSON.stringify(thisProcess(nonce))}\n`);
    if (!(await nameExclusively(temporary, place))) return 'again';
    if (place === path) return 'taken';
    const now = (await follow(path, isOver)).holder;
    if (now === 'none' || now?.nonce !== nonce) {
      await rm(place, { force: true });
      return 'again';
    }
    await rename(place, path);
    for (const link of links) await rm(link, { force: true });
    return 'taken';
  } catch (error) {
    throw explainWriteError(error, path);
  } finally {
    await rm(temporary, { force: true }).catch(() => {});
  }
}

/** Follows a chain of locks to its end: who made the last one, the names of those after the first, and that of the next. */
async function follow(
  path: string,
  isOver: typeof isGone,
): Promise<{ place: string; holder: LockOwner | null | 'none'; links: string[] }> {
  for (;;) {
    const first = await readOwner(path);
    let [place, holder, next] = [path, first, first];
    const seen = new Set<string>();
    const links: string[] = [];
    while (next !== 'none' && next !== null && !seen.has(next.nonce)) {
      seen.add(next.nonce);
      if (place !== path) links.push(place);
      holder = next;
      place = `${path}.${next.nonce}`;
      next = isOver(next) ? await readOwner(place) : 'none';
    }
    if (next !== 'none') holder = null; // rubbish, or a circle
    if (nonceOf(await readOwner(path)) === nonceOf(first)) return { place, holder, links };
  }
}

function nonceOf(owner: LockOwner | null | 'none'): string | null {
  return typeof owner === 'string' ? owner : (owner?.nonce ?? null);
}

function isGone(owner: LockOwner | null): boolean {
  return owner !== null && judgeOwner(owner) === 'gone';
}

/** The same, or of another machine and older than a lock of a moment can be. */
function isGoneOrOld(owner: LockOwner | null): boolean {
  if (owner === null) return false;
  return isGone(owner) || (judgeOwner(owner) === 'unknown' && !(Date.now() - Date.parse(owner.since) < MOMENTS));
}

/** What a lock file says: its owner, null where it cannot be understood, or 'none' where there is no such file. */
async function readOwner(path: string): Promise<LockOwner | null | 'none'> {
  try {
    return parseOwner(await readFile(path, 'utf8'));
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return 'none';
    throw explainWriteError(error, path);
  }
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

function isSystemError(error: unknown, ...codes: string[]): boolean {
  return error instanceof Error && 'code' in error && codes.includes(String(error.code));
}
