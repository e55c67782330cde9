import { UserError } from '../base/errors.js';
import { type Delivery, type Persistence, persist, readDelivery, request, TransientFailure } from './request.js';

/** What is known of a file of a server since it was first asked for. */
export type ServedFile = Pick<Delivery, 'validator'> & { url: string; total: number };

const REMEDY = 'check the address, and open it in a browser: it may ask for a login';
const advice = () => ({
  expected: 'a server that answers',
  remedy: 'check the network and the server, and try again; a run goes on with --resume',
});

/**
 * Asks for the first bytes of a file, to learn its size and that any part of it can be had.
 * @throws UserError if it is not there, cannot be reached, or the server answers no ranges
 */
export async function findServedFile(url: string, persistence: Persistence): Promise<ServedFile> {
  const askFirst = () =>
    request(url, { from: 0, to: 0 }, persistence, async (response) => {
      if (response.status === 416) throw new UserError(`${url} is empty`, { expected: 'a file with something in it' });
      const part = readPartial(response, url);
      if (part) return { url, total: part.total, validator: part.validator };
      throw new UserError(`the server of ${url} answers no requests for a part of a file`, {
        expected: 'a server that knows range requests, as every common web server and object store does',
        remedy: 'fetch the shards into a folder and name that, or serve them by another server',
      });
    });
  return persist(url, persistence, askFirst, advice);
}

/**
 * Bytes out of the middle of a file. What has arrived when a connection breaks is kept, and only the rest is asked for
 * again.
 * @throws UserError if the server stays away, or has another file by now
 * @throws the signal's reason when it aborts
 */
export async function fetchRange(file: ServedFile, offset: number, length: number, persistence: Persistence) {
  const bytes = Buffer.allocUnsafe(length);
  let arrived = 0;
  const fetchRest = async () => {
    if (arrived === length) return;
    const from = offset + arrived;
    await request(file.url, { from, to: offset + length - 1 }, persistence, async (response, chunks) => {
      requireSameFile(response, file, from);
      for await (const chunk of chunks) {
        if (arrived + chunk.length > length) throw new TransientFailure('the server sends more than was asked for');
        bytes.set(chunk, arrived);
        arrived += chunk.length;
      }
    });
    if (arrived < length) throw new TransientFailure(`the connection broke off after ${arrived} of ${length} bytes`);
  };
  await persist(file.url, persistence, fetchRest, advice, () => arrived);
  return bytes;
}

/**
 * A small file whole; null where the server does not have it.
 * @throws UserError if the server stays away, or the file has more bytes than `maxBytes`
 */
export async function fetchSmallFile(url: string, maxBytes: number, persistence: Persistence): Promise<Buffer | null> {
  const fetchWhole = () =>
    request(url, null, persistence, async (response, chunks) => {
      if ([403, 404, 410].includes(response.status)) return null;
      const total = readDelivery(response, url, REMEDY)?.total ?? null;
      const parts: Uint8Array[] = [];
      let bytes = 0;
      for await (const chunk of chunks) {
        bytes += chunk.length;
        if (bytes > maxBytes)
          throw new UserError(`${url} has more than ${maxBytes} bytes`, { expected: 'a small file' });
        parts.push(chunk);
      }
      if (total === null || total === bytes) return Buffer.concat(parts);
      throw new TransientFailure(`the connection broke off after ${bytes} of ${total} bytes`);
    });
  return persist(url, persistence, fetchWhole, advice);
}

/** What an answer to a request for a part of a file brings; null where it is something else, such as the whole. */
function readPartial(response: Response, url: string): (Delivery & { total: number }) | null {
  const part = readDelivery(response, url, REMEDY);
  return response.status === 206 && part && part.total !== null ? { ...part, total: part.total } : null;
}

function requireSameFile(response: Response, { url, total, validator }: ServedFile, start: number): void {
  if (response.status === 416) throw changedFile(url, `it has fewer than ${total} bytes`);
  const part = readPartial(response, url);
  if (part && part.total !== total) throw changedFile(url, `it has ${part.total} bytes, not ${total}`);
  if (part && validator !== null && part.validator !== null && part.validator !== validator) {
    throw changedFile(url, `its tag was ${validator}, now it is ${part.validator}`);
  }
  if (part?.start !== start) throw new TransientFailure('the server answers with something that was not asked for');
}

/** The error of a file that is another one than the one that was opened. */
export function changedFile(name: string, how: string): UserError {
  return new UserError(`${name} was changed: ${how}`, {
    expected: 'the file as it was when it was opened',
    remedy: 'put it back as it was, or start again',
  });
}
