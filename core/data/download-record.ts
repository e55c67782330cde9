import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { writeFileAtomically } from '../base/atomic.js';
import { isMissing, UserError } from '../base/errors.js';
import { listOf } from '../base/list-of.js';
import { PROGRAM } from '../base/program.js';
import { readText, tryJson } from '../base/text.js';

/** The file in which a folder remembers what was fetched into it, so that nothing is fetched twice. */
const NAME = `.${PROGRAM}-download.json`;
const FORMAT = `${PROGRAM}-download-1` as const;
/** Most bytes of it: an archive may have many names at its top. */
const MAX_BYTES = 2 ** 26;

const fetchedSchema = z.object({
  url: z.string(),
  /** Size of the file that was fetched. */
  bytes: z.number(),
  checksum: z.string().nullable(),
  /** What came out of it, at the top of the folder; null where it was not an archive. */
  unpacked: listOf(z.string()).nullable(),
});
const recordSchema = z.object({ format: z.literal(FORMAT), files: z.record(z.string(), fetchedSchema) });

/** A file that was fetched. */
export type Fetched = z.infer<typeof fetchedSchema>;
export type DownloadRecord = z.infer<typeof recordSchema>;

/** @throws UserError if the record is damaged */
export async function readDownloadRecord(folder: string): Promise<DownloadRecord> {
  const path = join(folder, NAME);
  const text = await readText(path, MAX_BYTES).catch((error: unknown) => {
    if (isMissing(error)) return JSON.stringify({ format: FORMAT, files: {} });
    throw error;
  });
  const { data } = recordSchema.safeParse(tryJson(text));
  if (data) return data;
  throw new UserError(`${path} is damaged`, {
    expected: 'the record of what was fetched into this folder',
    remedy: 'remove it; what is there is then checked or fetched again',
  });
}

/** The record with one more file, written whole or not at all. */
export async function addToRecord(folder: string, record: DownloadRecord, name: string, fetched: Fetched) {
  const files = { ...record.files, [name]: fetched };
  await writeFileAtomically(join(folder, NAME), `${JSON.stringify({ ...record, files }, null, 2)}\n`);
}

/** Whether what was fetched is still in its folder. */
export async function isStillThere(folder: string, name: string, { unpacked, bytes }: Fetched): Promise<boolean> {
  if (unpacked === null) return (await sizeOf(join(folder, name))) === bytes;
  const sizes = await Promise.all(unpacked.map((part) => sizeOf(join(folder, part))));
  return sizes.every((size) => size !== null);
}

/** Size of a file or folder in bytes; null where there is none. */
export async function sizeOf(path: string): Promise<number | null> {
  return stat(path).then(
    ({ size }) => size,
    () => null,
  );
}
