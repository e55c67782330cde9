import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, rename, writeFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { explainWriteError, UserError } from '../errors.js';
import { type Part, partPath, type RemoteFile, readPart, removePart, removeRecord, writeRecord } from './part.js';
import { type Delivery, networkReason, PassingFailure, readResponse, requestHeaders } from './response.js';

export interface DownloadOptions {
  /** Is told how many bytes are there, and how many there will be where that is known. */
  onProgress?: (bytes: number, total: number | null) => void;
  /** Is told why it has to try again, and after how long. */
  onRetry?: (reason: string, waitSeconds: number) => void;
  signal?: AbortSignal;
  /** Tries in a row that bring nothing new, after which it gives up. */
  tries?: number;
  /** Before the second try; twice as long before each one after that. */
  firstWaitSeconds?: number;
  /** Without any byte, after which a connection counts as broken. */
  stallSeconds?: number;
}

const DEFAULTS = { tries: 6, firstWaitSeconds: 0.5, stallSeconds: 60 };
const LONGEST_WAIT_SECONDS = 60;

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

/** Tries until all bytes are in the part. Tries count anew whenever one brought more than was ever there. */
async function fetchAll(file: RemoteFile, path: string, options: DownloadOptions): Promise<void> {
  const { tries, firstWaitSeconds } = { ...DEFAULTS, ...options };
  let furthest = (await readPart(file, path)).bytes;
  for (let failures = 0; ; ) {
    try {
      return await fetchRest(file, path, options);
    } catch (error) {
      options.signal?.throwIfAborted();
      if (!(error instanceof PassingFailure)) throw explainWriteError(error, path);
      const { bytes } = await readPart(file, path);
      failures = bytes > furthest ? 1 : failures + 1;
      furthest = Math.max(furthest, bytes);
      if (failures >= tries) {
        throw new UserError(`${file.url} cannot be fetched: ${error.message}`, {
          remedy: `check the network and try again${bytes > 0 ? '; what has arrived is kept' : ''}`,
        });
      }
      const seconds = Math.min(LONGEST_WAIT_SECONDS, error.waitSeconds ?? firstWaitSeconds * 2 ** (failures - 1));
      options.onRetry?.(error.message, seconds);
      await wait(seconds * 1000, undefined, options.signal && { signal: options.signal });
    }
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

/** A signal that aborts when nothing has arrived for some time, or when the caller's does. */
function watchForStall({ signal, stallSeconds = DEFAULTS.stallSeconds }: DownloadOptions) {
  const stalled = new AbortController();
  const timer = setTimeout(() => {
    stalled.abort(new PassingFailure(`nothing arrived for ${stallSeconds} seconds`));
  }, stallSeconds * 1000);
  return {
    signal: signal ? AbortSignal.any([stalled.signal, signal]) : stalled.signal,
    alive: () => timer.refresh(),
    end: () => clearTimeout(timer),
  };
}
