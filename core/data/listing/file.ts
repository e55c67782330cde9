import { createHash } from 'node:crypto';
import { z } from 'zod';
import { writeAtomically } from '../../base/atomic.js';
import { readRegularFile } from '../read-file.js';
import type { FolderRecord, FolderRecords } from './scan.js';

/** Changes whenever the form of the file does. */
const HEADER = Buffer.from('ijepa listing 2\n');
const HASH_BYTES = 32;

const folderSchema = z.object({
  path: z.string(),
  changed: z.string(),
  folders: z.array(z.string()),
  files: z.int().min(0),
  nameBytes: z.int().min(0),
  leftOut: z.array(z.object({ noun: z.string(), reason: z.string(), count: z.int(), example: z.string() })),
});
const folderListSchema = z.array(folderSchema);

/**
 * Writes records of folders to a file: a header, the length of a JSON document and the document (folders), then the sizes
 * and the names of the files, and a SHA-256 of all that.
 * @throws UserError if the file cannot be written
 */
export async function writeListing(path: string, records: FolderRecords): Promise<void> {
  const folders = [...records].map(([folder, { changed, folders, names, bytes, leftOut }]) => ({
    path: folder,
    changed,
    folders,
    files: bytes.length,
    nameBytes: names.length,
    leftOut,
  }));
  const document = Buffer.from(JSON.stringify(folders));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(document.length));
  const hash = createHash('sha256');
  await writeAtomically(path, async (file) => {
    const write = async (part: Uint8Array) => {
      hash.update(part);
      await file.writeFile(part);
    };
    for (const part of [HEADER, length, document]) await write(part);
    for (const { bytes } of records.values())
      await write(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength));
    for (const { names } of records.values()) await write(names);
    await file.writeFile(hash.digest());
  });
}

/** Reads records of folders; none where there is no such file, or it is damaged or of another version. */
export async function readListing(path: string): Promise<FolderRecords> {
  const content = await readRegularFile(path).catch(() => Buffer.alloc(0));
  const start = HEADER.length + 8;
  const end = content.length - HASH_BYTES;
  if (end < start || !content.subarray(0, HEADER.length).equals(HEADER)) return new Map();
  const hash = createHash('sha256').update(content.subarray(0, end)).digest();
  if (!hash.equals(content.subarray(end))) return new Map();
  let at = start + Number(content.readBigUInt64LE(HEADER.length));
  const folders = folderListSchema.safeParse(JSON.parse(content.toString('utf8', start, at)));
  if (!folders.success) return new Map();
  const sizes = folders.data.map(({ files }) => {
    const bytes = new Float64Array(files);
    new Uint8Array(bytes.buffer).set(content.subarray(at, at + bytes.byteLength));
    at += bytes.byteLength;
    return bytes;
  });
  return new Map(
    folders.data.map(({ path: folder, changed, folders: below, nameBytes, leftOut }, index): [string, FolderRecord] => {
      const names = content.subarray(at, at + nameBytes);
      at += nameBytes;
      return [folder, { changed, folders: below, names, bytes: sizes[index] as Float64Array, leftOut }];
    }),
  );
}
