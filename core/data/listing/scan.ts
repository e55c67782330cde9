import type { Dirent } from 'node:fs';
import { statSync } from 'node:fs';
import { readdir, realpath, stat } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { explainSystemError } from '../../errors.js';

export const IMAGE_EXTENSIONS = ['.jpg', '.jpeg', '.png', '.webp', '.avif', '.gif', '.tif', '.tiff'];

/** What a folder was found to hold, as it can be kept. */
export interface FolderRecord {
  /** When the folder's entries last changed, in nanoseconds; empty where that was too recent to tell of later changes. */
  changed: string;
  /** The folders in it, in the order of their names. */
  folders: readonly string[];
  /** The names of the image files in it, in their order, each followed by a 0. */
  names: Buffer;
  /** Their sizes in bytes. */
  bytes: Float64Array;
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
/** Files whose sizes are asked for between two turns of the event loop. */
const SIZES_AT_ONCE = 512;
/** Milliseconds for so many sizes above which the disk is slow, and several are asked for at the same time. */
const SLOW_MS = 100;

/**
 * Lists a folder and those below it. Names that start with a dot are passed over, symbolic links are followed; a folder
 * that was visited before is empty. A link that leads nowhere counts as a file, so that it is reported as unreadable if it
 * has the name of an image.
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
      const place = await realpath(folder);
      if (visited.has(place)) return;
      visited.add(place);
      record = await readFolder(folder, options.known.get(folder));
    } catch (error) {
      throw explainSystemError(error, folder);
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
  const { mtimeNs } = await stat(folder, { bigint: true });
  if (known && known.changed === String(mtimeNs)) return known;
  const now = BigInt(Date.now()) * 1_000_000n;
  const entries = await readdir(folder, { withFileTypes: true });
  const folders: string[] = [];
  const names: string[] = [];
  for (const entry of entries) {
    if (entry.name.startsWith('.')) continue;
    if (entry.isDirectory() || (entry.isSymbolicLink() && (await isFolder(folder, entry)))) folders.push(entry.name);
    else if (isImage(entry.name)) names.push(entry.name);
  }
  names.sort(byCodeUnits);
  return {
    changed: now - mtimeNs > SETTLED_NS ? String(mtimeNs) : '',
    folders: folders.sort(byCodeUnits),
    names: Buffer.from(names.map((name) => `${name}\0`).join('')),
    bytes: await sizesOf(names.map((name) => join(folder, name))),
  };
}

export function isImage(name: string): boolean {
  return IMAGE_EXTENSIONS.includes(extname(name).toLowerCase());
}

/** The same order in every locale. */
export function byCodeUnits(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}

async function isFolder(folder: string, { name }: Dirent): Promise<boolean> {
  return stat(join(folder, name)).then(
    (found) => found.isDirectory(),
    () => false,
  );
}

/**
 * Sizes in bytes; a file that is not there counts 0 and is met again, and reported, when it is read. They are asked for one
 * after the other, which takes a fifth of the time of promises, unless the disk is so slow that waiting for it counts.
 */
export async function sizesOf(paths: readonly string[]): Promise<Float64Array> {
  const sizes = new Float64Array(paths.length);
  let isSlow = false;
  for (let from = 0; from < paths.length; from += SIZES_AT_ONCE) {
    const part = paths.slice(from, from + SIZES_AT_ONCE);
    const started = performance.now();
    sizes.set(isSlow ? await Promise.all(part.map(sizeOf)) : part.map(sizeNow), from);
    isSlow ||= performance.now() - started > SLOW_MS;
    await setImmediate();
  }
  return sizes;
}

export function sizeNow(path: string): number {
  try {
    return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  } catch {
    return 0;
  }
}

async function sizeOf(path: string): Promise<number> {
  return stat(path).then(
    ({ size }) => size,
    () => 0,
  );
}
