import { realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { explainSystemError } from '../../base/errors.js';
import { nameFromBytes, shownName, systemPath } from '../../base/file-names.js';
import { statAll } from './in-turns.js';
import type { LeftOutGroup } from './left-out.js';
import { lookInto } from './look.js';

/** What a folder was found to hold, as it can be kept. */
export interface FolderRecord {
  /** When the folder's entries last changed, in nanoseconds; empty where that does not tell of later changes. */
  changed: string;
  /** The folders in it, in the order of their names. */
  folders: readonly string[];
  /** The names of the image files in it, in their order, with '/' between them: one string takes little memory. */
  names: string;
  /** Their sizes in bytes. */
  bytes: Float64Array;
  /** What was not taken, the examples by their names. */
  leftOut: readonly LeftOutGroup[];
}

/** Records by the path of their folder. */
export type FolderRecords = Map<string, FolderRecord>;

export interface ScanOptions {
  /** Records of an earlier time: a folder that has not changed since is not listed again. */
  known: FolderRecords;
  /** Told now and then how many files were found. */
  tell: (files: number) => void;
}

/** A folder whose entries changed so short a time ago may change again without showing it. */
const SETTLED_NS = 2_000_000_000n;

/**
 * Lists a folder and those below it, as `lookInto` sees them; a folder that was visited before is empty.
 * @param visited folders that were listed before, by their real paths
 * @returns a record of every folder that was visited
 * @throws UserError if a folder cannot be read
 */
export async function scanFolders(root: string, visited: Set<string>, options: ScanOptions): Promise<FolderRecords> {
  const records: FolderRecords = new Map();
  let files = 0;
  const visit = async (folder: string): Promise<void> => {
    let record: FolderRecord;
    try {
      const place = nameFromBytes(await realpath(systemPath(folder), 'buffer'));
      if (visited.has(place)) return;
      visited.add(place);
      record = await readFolder(folder, options.known.get(folder));
    } catch (error) {
      throw explainSystemError(error, shownName(folder));
    }
    records.set(folder, record);
    files += record.bytes.length;
    options.tell(files);
    for (const name of record.folders) await visit(join(folder, name));
  };
  await visit(root);
  return records;
}

async function readFolder(folder: string, known: FolderRecord | undefined): Promise<FolderRecord> {
  const { mtimeNs } = await stat(systemPath(folder), { bigint: true });
  if (known?.changed === String(mtimeNs)) return known;
  const now = BigInt(Date.now()) * 1_000_000n;
  const { folders, files, leftOut, hasBrokenLinks } = await lookInto(folder);
  const bytes = new Float64Array(files.length);
  const paths = files.map((name) => join(folder, name));
  await statAll(paths, (found, index) => {
    bytes[index] = found?.size ?? 0; // one that is gone is met again, and reported, when it is read
  });
  const isSettled = now - mtimeNs > SETTLED_NS && !hasBrokenLinks;
  return { changed: isSettled ? String(mtimeNs) : '', folders, names: files.join('/'), bytes, leftOut };
}
