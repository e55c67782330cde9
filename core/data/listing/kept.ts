import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { z } from 'zod';
import { writeFileAtomically } from '../../base/atomic.js';
import { readRegularFile } from '../../base/files.js';
import type { ImageCollection } from '../../contract/data-sets.js';

/** Changes whenever the form of the file does. */
const HEADER = 'listing 3 ';
const lineSchema = z.object({
  folder: z.string(),
  /** When the folder's entries last changed, in nanoseconds; empty where that does not tell of later changes. */
  changed: z.string(),
  /** The folders in it, in the order of their names. */
  folders: z.array(z.string()),
  /** The names of the image files in it, in their order, with '/' between them: one string takes little memory. */
  names: z.string(),
  bytes: z.array(z.number()),
  /** What was not taken, the examples by their names. */
  leftOut: z.array(z.object({ noun: z.string(), reason: z.string(), count: z.int(), example: z.string() })),
});

/** What a folder was found to hold, as it can be kept. */
export type FolderRecord = Omit<z.output<typeof lineSchema>, 'folder' | 'bytes'> & { bytes: Float64Array };
/** Records by the path of their folder. */
export type FolderRecords = Map<string, FolderRecord>;

/** Fewer files than this are listed in less than a second. */
const MANY_FILES = 20_000;
/** Milliseconds before the first line about a listing that takes long, and between two. */
const FIRST_LINE = 2000;
const NEXT_LINE = 10_000;

export interface ListingOptions {
  /** A file of `keepListing`; it need not be there. Folders that have not changed since are not listed again. */
  known?: string | null;
  /** Told now and then how many files were found. */
  tell?: (files: number) => void;
}

export interface ListedImages extends ImageCollection {
  /** Whether all of it was known from a kept listing. */
  readonly wasKnown: boolean;
  /** Writes what was found to a file, for the next time. */
  keepListing(path: string): Promise<void>;
}

/**
 * How to list data of which a listing may have been kept.
 * @param path the file in which it would be; null where none is to be used
 */
export function listingFrom(path: string | null, say: (line: string) => void): ListingOptions {
  let nextLine = performance.now() + FIRST_LINE;
  return {
    known: path,
    tell(files) {
      if (performance.now() < nextLine) return;
      nextLine = performance.now() + NEXT_LINE;
      say(`listing    ${files} images so far`);
    },
  };
}

/**
 * Keeps the listing of many images where it is not kept yet.
 * @throws UserError if the file cannot be written
 */
export async function keepListing(images: ImageCollection, path: string): Promise<void> {
  const listed: ImageCollection & Partial<ListedImages> = images;
  if (images.length < MANY_FILES || (listed.wasKnown && existsSync(path))) return;
  await listed.keepListing?.(path);
}

/**
 * Writes records of folders to a file: a line with a SHA-256 of the rest, and a line of JSON for each folder.
 * @throws UserError if the file cannot be written
 */
export async function writeListing(path: string, records: FolderRecords): Promise<void> {
  const lines = [...records].map(([folder, record]) =>
    Buffer.from(`${JSON.stringify({ folder, ...record, bytes: [...record.bytes] })}\n`),
  );
  const content = Buffer.concat(lines);
  await writeFileAtomically(path, Buffer.concat([headerOf(content), content]));
}

/** Reads records of folders; none where there is no such file, or it is damaged or of another version. */
export async function readListing(path: string): Promise<FolderRecords> {
  const file = await readRegularFile(path).catch(() => Buffer.alloc(0));
  const start = file.indexOf('\n') + 1;
  if (!file.subarray(0, start).equals(headerOf(file.subarray(start)))) return new Map();
  const records: FolderRecords = new Map();
  for (let at = start, end = 0; at < file.length; at = end) {
    end = file.indexOf('\n', at) + 1;
    const { data, success } = lineSchema.safeParse(JSON.parse(file.toString('utf8', at, end)));
    if (!success) return new Map();
    const { folder, bytes, ...record } = data;
    records.set(folder, { ...record, bytes: Float64Array.from(bytes) });
  }
  return records;
}

function headerOf(content: Buffer): Buffer {
  return Buffer.from(`${HEADER}${createHash('sha256').update(content).digest('hex')}\n`);
}
