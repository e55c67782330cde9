import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { z } from 'zod';
import { writeFileAtomically } from '../base/atomic.js';
import { explainWriteError, UserError } from '../base/errors.js';
import { readText } from '../base/text.js';
import { type Delivery, type Persistence, persist, readDelivery, request, TransientFailure } from './request.js';

/** A file of a server. */
export interface RemoteFile {
  url: string;
  /** Size, where it is known. */
  bytes?: number | undefined;
  checksum?: { algorithm: 'md5' | 'sha256'; hex: string } | undefined;
}

export interface DownloadOptions extends Persistence {
  /** Is told how many bytes are there, and how many there will be where that is known. */
  onProgress?: (bytes: number, total: number | null) => void;
}

/** What has arrived of a file, in bytes, and what the server said of the whole. */
export type PartialFile = Omit<Delivery, 'start'> & { bytes: number };

/** What is kept beside a partial file. */
const recordSchema = z.object({
  url: z.string(),
  validator: z.string().nullable().catch(null),
  total: z.number().nullable().catch(null),
});
/** Most bytes of such a record. */
const MAX_RECORD_BYTES = 2 ** 16;

const NOTHING: PartialFile = { bytes: 0, total: null, validator: null };

/** Where a file is kept until it is whole. */
export function partPath(path: string): string {
  return `${path}.part`;
}

/**
 * Downloads a file. What arrives is kept in `PATH.part` until the file is whole and its checksum is right; a later call
 * goes on from there. Broken connections and busy servers are tried again.
 * @throws UserError if it cannot be had, arrives damaged, or cannot be written
 * @throws the signal's reason when it aborts; the partial file stays
 */
export async function downloadFile(file: RemoteFile, path: string, options: DownloadOptions = {}): Promise<void> {
  const part = await readPart(file, path);
  const wasBegun = part.bytes > 0;
  const kept = () => (part.bytes > 0 ? '; what has arrived is kept' : '');
  const advice = () => ({ remedy: `check the network and try again${kept()}` });
  const attempt = () => fetchRest(file, path, part, options);
  await persist(file.url, options, attempt, advice, () => part.bytes).catch((error: unknown) => {
    throw explainWriteError(error, path);
  });
  const wrong = await wrongChecksum(file, partPath(path), options.signal);
  if (!wrong) await rename(partPath(path), path);
  await removePart(path);
  if (!wrong) return;
  if (wasBegun) return downloadFile(file, path, options); // what was there before may be what is damaged
  throw new UserError(`${basename(path)} arrived damaged: ${wrong}`, {
    remedy: 'try again; if it stays so, the file at that address is another one than the one that is known',
  });
}

/** Says what is wrong with the checksum of a file that lies at `path`; null where it is right or none is known. */
export async function wrongChecksum({ checksum }: RemoteFile, path: string, signal?: AbortSignal) {
  if (!checksum) return null;
  const hash = createHash(checksum.algorithm);
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20, ...(signal && { signal }) })) {
    hash.update(chunk as Buffer);
  }
  const hex = hash.digest('hex');
  if (hex === checksum.hex.toLowerCase()) return null;
  return `its ${checksum.algorithm === 'md5' ? 'MD5' : 'SHA-256'} is ${hex}, not ${checksum.hex}`;
}

/**
 * What has arrived of a file and can be continued. A part from another address is taken only where a checksum will tell
 * whether it fits; one that is longer than the file is not taken.
 */
export async function readPart(file: RemoteFile, path: string): Promise<PartialFile> {
  const bytes = (await stat(partPath(path)).catch(() => null))?.size ?? 0;
  if (bytes === 0) return { ...NOTHING };
  const record = await readText(recordPath(path), MAX_RECORD_BYTES)
    .then((text) => recordSchema.parse(JSON.parse(text)))
    .catch(() => null); // missing or cut off: nothing is known of the part
  const known = record?.url === file.url ? record : null;
  const total = file.bytes ?? known?.total ?? null;
  if ((!known && !file.checksum) || (total !== null && bytes > total)) return { ...NOTHING };
  return { bytes, total, validator: known?.validator ?? null };
}

function recordPath(path: string): string {
  return `${partPath(path)}.json`;
}

async function removePart(path: string): Promise<void> {
  await rm(partPath(path), { force: true });
  await rm(recordPath(path), { force: true });
}

/** One request for what is missing. @param part is changed as bytes arrive */
async function fetchRest(file: RemoteFile, path: string, part: PartialFile, options: DownloadOptions): Promise<void> {
  if (part.bytes > 0 && part.bytes === (file.bytes ?? part.total)) return;
  const range = part.bytes > 0 ? { from: part.bytes, validator: part.validator } : null;
  await request(file.url, range, options, async (response, chunks) => {
    const delivery = checkedDelivery(response, part, file);
    if (!delivery) {
      if (part.bytes === 0) throw new TransientFailure('the server answers with a part that was not asked for');
      await removePart(path);
      Object.assign(part, NOTHING);
      throw new TransientFailure('the server does not go on with the part that is there; beginning anew', 0);
    }
    const { start, total, validator } = delivery;
    if (start === 0) await writeFile(partPath(path), ''); // before it is said to be of this file
    await writeFileAtomically(recordPath(path), JSON.stringify({ url: file.url, validator, total }));
    Object.assign(part, { bytes: start, total, validator });
    const output = await open(partPath(path), 'a');
    try {
      for await (const chunk of chunks) {
        if (total !== null && part.bytes + chunk.length > total) {
          throw new TransientFailure(`the server sends more than the ${total} bytes that it announced`);
        }
        await output.writeFile(chunk); // all of it, where the last one ended; `write` may write less
        part.bytes += chunk.length;
        options.onProgress?.(part.bytes, total);
      }
      await output.sync();
    } finally {
      await output.close();
    }
    if (total !== null && part.bytes < total) {
      throw new TransientFailure(`the connection broke off after ${part.bytes} bytes`);
    }
  });
}

/**
 * What a response brings: the rest, or the whole file anew where the server knows no ranges or has another file by now. Null
 * where it contradicts the part, so that one has to begin anew.
 * @throws UserError where the server does not have the file
 */
function checkedDelivery(response: Response, part: PartialFile, file: RemoteFile): Delivery | null {
  const { url, bytes, checksum } = file;
  const moved = 'the file may have moved: look at the page of the data set, or name another place with --mirror';
  const delivery = readDelivery(response, url, moved);
  if (!checksum && response.headers.get('content-type')?.startsWith('text/html')) {
    throw new UserError(`${url} answers with a web page`, {
      expected: 'a file',
      remedy: 'open the address in a browser: it may ask for a login or an agreement',
    });
  }
  const isOfOther = part.total !== null && delivery?.total !== null && delivery?.total !== part.total;
  if (!delivery || (response.status === 206 && (delivery.start !== part.bytes || isOfOther))) return null;
  if (bytes !== undefined && delivery.total !== null && delivery.total !== bytes) {
    throw new UserError(`${url} has ${delivery.total} bytes`, {
      expected: `${bytes} bytes`,
      remedy:
        'this is another file than the one that is known: look at the page of the data set, or use another --mirror',
    });
  }
  return { ...delivery, total: delivery.total ?? bytes ?? null };
}
