import { closeSync, constants, fstatSync, openSync, readFileSync, type Stats } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { attempt, explainSystemError, systemProblem, UserError } from './errors.js';
import { shownName, systemPath } from './file-names.js';

/** Opening a pipe to which nobody writes returns at once in this way, and does nothing else to a file. */
const FLAGS = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0);

type Use<T> = (file: FileHandle, found: Stats) => Promise<T>;

/**
 * The content of a regular file; nothing else can make a reader wait.
 * @param path of bytes that are not UTF-8, as `nameFromBytes` gives it
 * @throws Error with the reason if it is something else, or cannot be read
 */
export async function readRegularFile(path: string): Promise<Buffer> {
  try {
    return await withOpenFile(path, (file) => file.readFile());
  } catch (error) {
    const problem = systemProblem(error);
    throw problem === undefined ? error : new Error(`it ${problem}`, { cause: error });
  }
}

/**
 * Uses a regular file that a user has named.
 * @throws UserError if it is something else or cannot be read
 */
export async function withRegularFile<T>(path: string, use: Use<T>): Promise<T> {
  try {
    return await withOpenFile(path, use);
  } catch (error) {
    if (!(error instanceof NotRegular)) throw explainSystemError(error, shownName(path));
    throw new UserError(`${shownName(path)} is ${error.kind}, no regular file`, { remedy: 'name a file' });
  }
}

async function withOpenFile<T>(path: string, use: Use<T>): Promise<T> {
  const file = await open(systemPath(path), FLAGS).catch(async (error: unknown) => {
    const found = await stat(systemPath(path)).catch(() => null);
    const kind = found && kindOf(found); // a socket cannot even be opened: what it is tells more than the system's error
    throw kind ? new NotRegular(kind) : error;
  });
  try {
    const found = await file.stat();
    requireRegular(found);
    return await use(file, found);
  } finally {
    await file.close();
  }
}

/** Fills `bytes` from a place of a file; returns how many there are, which is less only where the file ends. */
export async function readInto(file: FileHandle, bytes: Uint8Array, position: number): Promise<number> {
  let done = 0;
  while (done < bytes.length) {
    // One read moves at most 2 GiB.
    const { bytesRead } = await file.read(bytes, done, Math.min(bytes.length - done, 2 ** 30), position + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return done;
}

class NotRegular extends Error {
  constructor(readonly kind: string) {
    super(`it is ${kind}, no regular file`);
  }
}

/**
 * The same without a promise, in a third of the time: for threads that do nothing else.
 * @throws as `readRegularFile`
 */
export function readRegularFileSync(path: string): Buffer {
  const file = openRegularSync(path);
  try {
    return readFileSync(file);
  } finally {
    closeSync(file);
  }
}

/**
 * Opens a regular file for reading, to be closed by the caller.
 * @throws Error with the reason if it is something else, or the system's error if it cannot be opened
 */
export function openRegularSync(path: string): number {
  const file = openSync(systemPath(path), FLAGS);
  try {
    requireRegular(fstatSync(file));
    return file;
  } catch (error) {
    closeSync(file);
    throw error;
  }
}

function requireRegular(found: Stats): void {
  const kind = kindOf(found);
  if (kind !== null) throw new NotRegular(kind);
}

/** What a file is that is not a regular one; null for a regular one. */
export function kindOf(found: Stats): string | null {
  if (found.isFile()) return null;
  if (found.isDirectory()) return 'a folder';
  if (found.isFIFO()) return 'a named pipe';
  if (found.isSocket()) return 'a socket';
  return 'a device';
}

/** The content of a file of /proc or /sys; empty where there is none. */
export function readSystemFile(path: string): string {
  return attempt(() => readFileSync(path, 'latin1'), '');
}
