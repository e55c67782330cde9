import { UserError } from '../base/errors.js';
import { checkStatus, networkReason, PassingFailure, rangeOf } from './response.js';
import { type Persistence, retry, watchForStall } from './retry.js';

/** What is known of a file of a server since it was first asked for. */
export interface ServedFile {
  url: string;
  /** Size in bytes. */
  total: number;
  /** An ETag or a date that changes when the file does; null where the server gives none. */
  validator: string | null;
}

const REMEDY = 'check the address, and open it in a browser: it may ask for a login';

/**
 * Asks for the first bytes of a file, to learn its size and that any part of it can be had.
 * @throws UserError if it is not there, cannot be reached, or the server answers no ranges
 */
export async function findServedFile(url: string, persistence: Persistence): Promise<ServedFile> {
  const first = { from: 0, to: 0 };
  const look = () =>
    ask(url, first, persistence, async (response) => {
      if (response.status === 416) throw new UserError(`${url} is empty`, { expected: 'a file with something in it' });
      const part = partOf(response, url);
      if (part) return { url, total: part.total, validator: part.validator };
      throw new UserError(`the server of ${url} answers no requests for a part of a file`, {
        expected: 'a server that knows range requests, as every common web server and object store does',
        remedy: 'fetch the shards into a folder and name that, or serve them by another server',
      });
    });
  return persist(url, persistence, look);
}

/**
 * Bytes out of the middle of a file. What has arrived when a connection breaks is kept, and only the rest is asked for
 * again.
 * @throws UserError if the server stays away, or has another file by now
 * @throws the signal's reason when it aborts
 */
export async function fetchRange(
  file: ServedFile,
  offset: number,
  length: number,
  persistence: Persistence,
): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(length);
  let arrived = 0;
  const fetchRest = async () => {
    if (arrived === length) return;
    const range = { from: offset + arrived, to: offset + length - 1 };
    await ask(file.url, range, persistence, async (response, alive) => {
      requireSameFile(response, file, range.from);
      for await (const chunk of response.body ?? []) {
        if (arrived + chunk.length > length) throw new PassingFailure('the server sends more than was asked for');
        bytes.set(chunk, arrived);
        arrived += chunk.length;
        alive();
      }
    });
    if (arrived < length) throw new PassingFailure(`the connection broke off after ${arrived} of ${length} bytes`);
  };
  await persist(file.url, persistence, fetchRest, () => arrived);
  return bytes;
}

/**
 * A small file whole; null where the server does not have it.
 * @throws UserError if the server stays away, or the file has more bytes than `most`
 */
export async function fetchSmallFile(url: string, most: number, persistence: Persistence): Promise<Buffer | null> {
  const fetchAll = () =>
    ask(url, null, persistence, async (response, alive) => {
      if (response.status === 404 || response.status === 403 || response.status === 410) return null;
      checkStatus(response, url, REMEDY);
      const chunks: Uint8Array[] = [];
      let bytes = 0;
      for await (const chunk of response.body ?? []) {
        bytes += chunk.length;
        if (bytes > most) throw new UserError(`${url} has more than ${most} bytes`, { expected: 'a small file' });
        chunks.push(chunk);
        alive();
      }
      const expected = response.headers.get('content-length');
      if (expected !== null && !response.headers.has('content-encoding') && Number(expected) !== bytes) {
        throw new PassingFailure(`the connection broke off after ${bytes} of ${expected} bytes`);
      }
      return Buffer.concat(chunks);
    });
  return persist(url, persistence, fetchAll);
}

/** Tries again as long as it may help. */
async function persist<T>(
  url: string,
  persistence: Persistence,
  attempt: () => Promise<T>,
  arrived = () => 0,
): Promise<T> {
  try {
    return await retry(attempt, arrived, persistence);
  } catch (error) {
    persistence.signal?.throwIfAborted();
    if (!(error instanceof PassingFailure)) throw error;
    throw new UserError(`${url} cannot be fetched: ${error.message}`, {
      expected: 'a server that answers',
      remedy: 'check the network and the server, and try again; a run goes on with --resume',
    });
  }
}

/** One request; failures of the network, which may pass, are told from others. */
async function ask<T>(
  url: string,
  range: { from: number; to: number } | null,
  persistence: Persistence,
  use: (response: Response, alive: () => void) => Promise<T>,
): Promise<T> {
  const stall = watchForStall(persistence);
  try {
    const headers = { 'accept-encoding': 'identity', ...(range && { range: `bytes=${range.from}-${range.to}` }) };
    const response = await fetch(url, { headers, signal: stall.signal });
    try {
      return await use(response, stall.alive);
    } finally {
      await response.body?.cancel().catch(() => {}); // what was not read is not wanted
    }
  } catch (error) {
    if (error instanceof PassingFailure || error instanceof UserError) throw error;
    throw new PassingFailure(`the connection failed (${networkReason(error)})`);
  } finally {
    stall.end();
  }
}

/** What an answer to a request for a part of a file says of it; null where it brings something else, such as the whole. */
function partOf(response: Response, url: string): { start: number; total: number; validator: string | null } | null {
  checkStatus(response, url, REMEDY);
  const part = response.status === 206 ? rangeOf(response.headers) : null;
  return part && part.total !== null ? { ...part, total: part.total } : null;
}

function requireSameFile(response: Response, file: ServedFile, start: number): void {
  const { url, total, validator } = file;
  if (response.status === 416) throw changedFile(url, `it has fewer than ${total} bytes`);
  const part = partOf(response, url);
  if (part && part.total !== total) throw changedFile(url, `it has ${part.total} bytes, not ${total}`);
  if (part && validator !== null && part.validator !== null && part.validator !== validator) {
    throw changedFile(url, `its tag was ${validator}, now it is ${part.validator}`);
  }
  if (part?.start !== start) throw new PassingFailure('the server answers with something that was not asked for');
}

/** The error of a file that is another one than the one that was opened. */
export function changedFile(name: string, how: string): UserError {
  return new UserError(`${name} was changed: ${how}`, {
    expected: 'the file as it was when it was opened',
    remedy: 'put it back as it was, or start again',
  });
}
