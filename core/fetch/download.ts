import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, rename, writeFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { explainWriteError, UserError } from '../base/errors.js';
import { type Part, partPath, type RemoteFile, readPart, removePart, removeRecord, writeRecord } from './part.js';
import { type Delivery, networkReason, PassingFailure, readResponse, requestHeaders } from './response.js';
import { type Persistence, retry, watchForStall } from './retry.js';

export interface DownloadOptions extends Persistence {
  /** Is told how many bytes are there, and how many there will be where that is known. */
  onProgress?: (bytes: number, total: number | null) => void;
}

/**
 * Downloads a file. What arrives is kept in `PATH.part` until the file is whole and its checksum is right; a later call
 * goes on from there. Broken connections and busy servers are tried again.
 * @throws UserError if it cannot be had, arrives damaged, or cannot be written
 * @throws the signal's reason when it aborts; the part stays
 */
export async function downloadFile(file: RemoteFile, path: string, options: DownloadOptions = {}): Promise<void> {
  const found = await readPart(file, path);
  await fetchAll(file, path, options);
  let wrong = await wrongChecksum(file, partPath(path), options.signal);
  if (wrong && found.bytes > 0) {
    // What was there before may be what is damaged.
    await removePart(path);
    await fetchAll(file, path, options);
    wrong = await wrongChecksum(file, partPath(path), options.signal);
  }
  if (wrong) {
    await removePart(path);
    throw new UserError(`${basename(path)} arrived damaged: ${wrong}`, {
      remedy: 'try again; if it stays so, the file at that address is another one than the one that is known',
    });
  }
  await rename(partPath(path), path);
  await removeRecord(path);
}

/** Says what is wrong with the checksum of a file that lies at `path`; null where it is right or none is known. */
export async function wrongChecksum(
  { checksum }: RemoteFile,
  path: string,
  signal?: AbortSignal,
): Promise<string | null> {
  if (!checksum) return null;
  const hash = createHash(checksum.algorithm);
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20, ...(signal && { signal }) })) {
    hash.update(chunk as Buffer);
  }
  const hex = hash.digest('hex');
  if (hex === checksum.hex.toLowerCase()) return null;
  return `its ${checksum.algorithm === 'md5' ? 'MD5' : 'SHA-256'} is ${hex}, not ${checksum.hex}`;
}

/** Tries until all bytes are in the part. */
async function fetchAll(file: RemoteFile, path: string, options: DownloadOptions): Promise<void> {
  const arrived = async () => (await readPart(file, path)).bytes;
  try {
    await retry(() => fetchRest(file, path, options), arrived, options);
  } catch (error) {
    options.signal?.throwIfAborted();
    if (!(error instanceof PassingFailure)) throw explainWriteError(error, path);
    const kept = (await arrived()) > 0 ? '; what has arrived is kept' : '';
    throw new UserError(`${file.url} cannot be fetched: ${error.message}`, {
      remedy: `check the network and try again${kept}`,
    });
  }
}

/**
 * One request for what is missing.
 * @throws PassingFailure if it is worth trying again
 */
async function fetchRest(file: RemoteFile, path: string, options: DownloadOptions): Promise<void> {
  const part = await readPart(file, path);
  const total = file.bytes ?? part.record?.total ?? null;
  if (part.bytes > 0 && part.bytes === total) return;
  const stall = watchForStall(options);
  try {
    const response = await request(file.url, part, stall.signal);
    const delivery = readResponse(response, part, file);
    if (!delivery || !response.body) {
      if (part.bytes === 0) throw new PassingFailure('the server answers with a part that was not asked for');
      await removePart(path);
      throw new PassingFailure('the server does not go on with the part that is there; beginning anew', 0);
    }
    if (delivery.start === 0) await writeFile(partPath(path), ''); // before it is said to be of this file
    await writeRecord(path, { url: file.url, validator: delivery.validator, total: delivery.total });
    await writeDelivery(response.body.getReader(), delivery, path, (bytes) => {
      stall.alive();
      options.onProgress?.(bytes, delivery.total);
    });
  } finally {
    stall.end();
  }
}

async function request(url: string, part: Part, signal: AbortSignal): Promise<Response> {
  try {
    return await fetch(url, { headers: requestHeaders(part), signal });
  } catch (error) {
    if (error instanceof PassingFailure) throw error;
    throw new PassingFailure(`the server cannot be reached (${networkReason(error)})`);
  }
}

/** Writes what arrives behind what is there. */
async function writeDelivery(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  { start, total }: Delivery,
  path: string,
  tell: (bytes: number) => void,
): Promise<void> {
  const part = await open(partPath(path), 'a');
  let bytes = start;
  try {
    for (;;) {
      const { done, value } = await reader.read().catch((error: unknown) => {
        if (error instanceof PassingFailure) throw error;
        throw new PassingFailure(`the connection broke off after ${bytes} bytes (${networkReason(error)})`);
      });
      if (done) break;
      if (total !== null && bytes + value.length > total) {
        throw new PassingFailure(`the server sends more than the ${total} bytes that it announced`);
      }
      await part.writeFile(value); // all of it, where the last one ended; `write` may write less
      bytes += value.length;
      tell(bytes);
    }
    await part.sync();
  } finally {
    await part.close();
    await reader.cancel().catch(() => {}); // it may have failed already
  }
  if (total !== null && bytes < total) throw new PassingFailure(`the connection broke off after ${bytes} bytes`);
}
