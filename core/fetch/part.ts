import { rm, stat } from 'node:fs/promises';
import { writeFileAtomically } from '../base/atomic.js';
import { readText } from '../base/text.js';

/** A file of a server. */
export interface RemoteFile {
  url: string;
  /** Size, where it is known. */
  bytes?: number | undefined;
  checksum?: { algorithm: 'md5' | 'sha256'; hex: string } | undefined;
}

/** What a server said of a file, kept beside the part that has arrived. */
export interface PartRecord {
  url: string;
  /** An ETag or a date that changes when the file does; null where the server gives none. */
  validator: string | null;
  /** Size of the whole file in bytes. */
  total: number | null;
}

/** The part of a file that has arrived. */
export interface Part {
  bytes: number;
  /** Null where nothing has arrived, or it is not known what. */
  record: PartRecord | null;
}

/** Most bytes of a record. */
const LARGEST_RECORD = 2 ** 16;

const NOTHING: Part = { bytes: 0, record: null };

/** Where the part of a file is kept until the file is whole. */
export function partPath(path: string): string {
  return `${path}.part`;
}

function recordPath(path: string): string {
  return `${path}.part.json`;
}

/**
 * What has arrived of a file and can be gone on with. A part from another address is taken only where a checksum will
 * tell whether it fits; one that is longer than the file is not taken.
 */
export async function readPart(file: RemoteFile, path: string): Promise<Part> {
  const bytes = await sizeOf(partPath(path));
  if (bytes === 0) return NOTHING;
  const record = await readRecord(path);
  const isKnown = record?.url === file.url;
  if (!isKnown && !file.checksum) return NOTHING;
  const total = file.bytes ?? (isKnown ? record.total : null);
  if (total !== null && bytes > total) return NOTHING;
  return { bytes, record: isKnown ? record : { url: file.url, validator: null, total } };
}

export async function writeRecord(path: string, record: PartRecord): Promise<void> {
  await writeFileAtomically(recordPath(path), JSON.stringify(record));
}

export async function removePart(path: string): Promise<void> {
  await rm(partPath(path), { force: true });
  await removeRecord(path);
}

export async function removeRecord(path: string): Promise<void> {
  await rm(recordPath(path), { force: true });
}

/** Size of a file in bytes; 0 where there is none. */
async function sizeOf(path: string): Promise<number> {
  return stat(path).then(
    ({ size }) => size,
    () => 0,
  );
}

async function readRecord(path: string): Promise<PartRecord | null> {
  try {
    const { url, validator, total } = JSON.parse(await readText(recordPath(path), LARGEST_RECORD));
    const isRecord = typeof url === 'string';
    return isRecord
      ? {
          url,
          validator: typeof validator === 'string' ? validator : null,
          total: typeof total === 'number' ? total : null,
        }
      : null;
  } catch {
    return null; // missing or cut off: nothing is known of the part
  }
}
