import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { link, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { z } from 'zod';
import { UNFINISHED, writeFileAtomically } from './atomic.js';
import { attempt, explainWriteError, isMissing, isSystemError, UserError } from './errors.js';
import { readSystemFile } from './files.js';

const ownerSchema = z.object({
  pid: z.int().min(1),
  host: z.string(),
  /** When the process started, in the system's own measure; null where the system does not tell. */
  processStart: z.string().nullable(),
  /** Changes whenever the machine starts; null where the system does not tell. */
  boot: z.string().nullable(),
  /** When the lock was taken, for people. */
  since: z.string(),
  /** Tells two locks of one process apart. */
  nonce: z.string().regex(/^[0-9a-f]+$/),
});

/** Who holds a lock. */
export type LockOwner = z.infer<typeof ownerSchema>;

/** Longest pause before another try, in milliseconds. */
const RETRY_MS = 40;
/** A lock that is only ever held briefly is void after so many milliseconds where its process is on another machine. */
const BRIEF_MS = 60_000;
/** Milliseconds that a lock may take to be written, on file systems without hard links. */
const WRITING_MS = 300;
/** Tries to take a lock that others take and release at the same time. */
const ATTEMPTS = 1000;
/** Of them, those in which an announcement may vanish. */
const VANISHED = 50;

/**
 * A lock file, which names the process that holds the lock. It is made by a hard link, which fails where the name exists, so
 * that of several processes only one can make it.
 *
 * The lock of a process that is gone is replaced by a process that has announced itself first, by a file `LOCK.NONCE`, and
 * sees no other live announcement: of two processes, whichever looks later sees the other, and the one that sees another
 * withdraws and tries again after a random pause. So no two replace a lock at the same time.
 */
export class FileLock {
  #nonce: string | null = null;

  /** @param words how messages speak of what the lock keeps to one process: 'the run', 'training it' */
  constructor(
    private readonly path: string,
    private readonly words: { thing: string; doing: string },
  ) {}

  /**
   * Takes the lock.
   * @param waitMs how long another process is waited for, of those that hold the lock briefly
   * @throws UserError if another process has it then, or the file cannot be written
   */
  async acquire(waitMs = 0): Promise<void> {
    const started = performance.now();
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const nonce = randomBytes(6).toString('hex');
      const holder = await take(this.path, nonce, waitMs > 0).catch((error: unknown) => {
        // Whoever has the lock now may have removed what was left of others.
        if (isMissing(error) && attempt < VANISHED && existsSync(dirname(this.path))) return 'again' as const;
        throw explainWriteError(error, this.path);
      });
      if (holder === 'taken') {
        this.#nonce = nonce;
        return;
      }
      if (holder !== 'again') {
        attempt = 0;
        const patienceMs = holder === null ? Math.max(waitMs, WRITING_MS) : waitMs;
        if (performance.now() - started > patienceMs) throw this.#inUse(holder);
      }
      await setTimeout(RETRY_MS * Math.random());
    }
    throw new UserError(`${this.path} is taken and given back again and again`, { remedy: 'try again in a moment' });
  }

  /** @throws UserError if another process has the lock now */
  async check(): Promise<void> {
    const holder = await readHolder(this.path);
    if (holder !== 'none' && !isVoid(holder)) throw this.#inUse(holder);
  }

  /** Gives the lock back, where it was taken and is still this process's. */
  async release(): Promise<void> {
    if (this.#nonce === null) return;
    const owner = await readHolder(this.path).catch(() => null); // the folder may be gone
    if (owner !== 'none' && owner?.nonce === this.#nonce) await rm(this.path, { force: true }).catch(() => {});
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

/** Who holds a lock, or held it and is gone; null where the file cannot be understood, 'none' where there is no lock. */
export async function readHolder(path: string): Promise<LockOwner | null | 'none'> {
  try {
    const text = await readFile(path, 'utf8');
    return attempt(() => ownerSchema.parse(JSON.parse(text)), null);
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return 'none';
    throw explainWriteError(error, path);
  }
}

/** @returns who has the lock, where it is neither 'taken' by this process nor worth another try: 'again' */
async function take(path: string, nonce: string, isBrief: boolean): Promise<'taken' | 'again' | LockOwner | null> {
  const holder = await readHolder(path);
  if (holder !== 'none' && !isVoid(holder, isBrief)) return holder;
  const announcement = `${path}.${nonce}`;
  try {
    await writeFileAtomically(announcement, `${JSON.stringify(thisProcess(nonce))}\n`);
    if (holder === 'none') return (await linkExclusively(announcement, path)) ? 'taken' : 'again';
    const others = await announcements(path);
    if (others.some(({ name, owner }) => name !== announcement && !isVoid(owner, isBrief))) return 'again';
    const current = await readHolder(path);
    if (current === 'none' || current?.nonce !== holder?.nonce) return 'again'; // another process has replaced it
    await rename(announcement, path);
    for (const { name } of others) await rm(name, { force: true });
    return 'taken';
  } finally {
    await rm(announcement, { force: true }).catch(() => {});
  }
}

/** The processes that have announced themselves, or died after it. */
async function announcements(path: string): Promise<{ name: string; owner: LockOwner | null }[]> {
  const names = await readdir(dirname(path));
  const own = names.filter((name) => name.startsWith(`${basename(path)}.`) && !name.endsWith(UNFINISHED));
  const paths = own.map((name) => join(dirname(path), name));
  const owners = await Promise.all(paths.map(readHolder));
  return owners.flatMap((owner, at) => (owner === 'none' ? [] : [{ name: paths[at], owner }]));
}

/** Whether a lock's process is gone, or is of another machine and took the lock longer ago than it would hold a brief one. */
function isVoid(owner: LockOwner | null, isBrief = false): boolean {
  if (owner === null) return false;
  const judged = judgeOwner(owner);
  return judged === 'gone' || (isBrief && judged === 'unknown' && !(Date.now() - Date.parse(owner.since) < BRIEF_MS));
}

/** Gives a file a second name that no other file has. @returns false where one has it, or the file is gone */
async function linkExclusively(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to).catch(async (error: unknown) => {
      if (!isSystemError(error, 'EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK')) throw error;
      await writeFile(to, await readFile(from), { flag: 'wx' }); // some file systems have no hard links
    });
    return true;
  } catch (error) {
    if (isSystemError(error, 'EEXIST', 'ENOENT')) return false;
    throw error;
  }
}

/** This process as the owner of a lock. */
export function thisProcess(nonce: string): LockOwner {
  const { pid } = process;
  const [processStart, since] = [processOf(pid).start, new Date().toISOString()];
  return { pid, host: hostname(), processStart, boot: bootId(), since, nonce };
}

/**
 * Whether the process that took a lock still runs; 'unknown' for one of another machine.
 *
 * A process number that is in use again is told by the time at which the process started, where the system has /proc;
 * elsewhere such a process counts as the owner.
 */
export function judgeOwner({ pid, host, processStart, boot }: LockOwner): 'alive' | 'gone' | 'unknown' {
  if (host !== hostname()) return 'unknown';
  const currentBoot = bootId();
  if (boot !== null && currentBoot !== null && boot !== currentBoot) return 'gone';
  if (!isProcess(pid)) return 'gone';
  const { start, ended } = processOf(pid);
  const isAnother = processStart !== null && start !== null && processStart !== start;
  return ended || isAnother ? 'gone' : 'alive';
}

function isProcess(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return isSystemError(error, 'EPERM'); // somebody else's
  }
}

/** When a process started, and whether it has ended and only waits for its parent to ask. */
function processOf(pid: number): { start: string | null; ended: boolean } {
  // The fields after the name, which is in brackets and may hold anything: the first is the state, the 20th the start.
  const fields = readSystemFile(`/proc/${pid}/stat`).split(') ').at(-1)?.split(' ');
  return { start: fields?.[19] ?? null, ended: ['Z', 'X'].includes(fields?.[0] ?? '') };
}

function bootId(): string | null {
  return readSystemFile('/proc/sys/kernel/random/boot_id').trim() || null;
}
