import { type Dirent, type Stats, statSync } from 'node:fs';
import { readdir, realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { explainSystemError } from '../../base/errors.js';
import { nameFromBytes, shownName, systemPath } from '../../base/file-names.js';
import type { FolderRecord, FolderRecords } from './kept.js';
import { isImage, LeftOut, passedOver, setAside } from './kinds.js';

export interface ScanOptions {
  /** Records of an earlier time: a folder that has not changed since is not listed again. */
  known: FolderRecords;
  tell: (files: number) => void;
}

/** A folder whose entries changed so short a time ago may change again without showing it. */
const SETTLED_NS = 2_000_000_000n;

/**
 * Lists a folder and those below it, as `lookInto` sees them; a folder that was visited before is empty.
 * @param visited folders that were listed before, by their real paths
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

/**
 * Looks into a folder: for images, if nothing else is said. Links count as what they lead to.
 * @param isWanted which files are wanted, by their names
 * @param missed what a file is called that is not wanted but may be missed, and why it is not taken; undefined for others
 * @returns `folders` in it and `files` that are wanted, in the order of their names; `leftOut`, what may hold pictures and is
 * not taken; `hasBrokenLinks`: a link that leads nowhere may lead somewhere later, and the folder will not have changed
 * @throws Error of the system if it cannot be read
 */
export async function lookInto(folder: string, isWanted = isImage, missed = passedOver) {
  const folders: string[] = [];
  const files: string[] = [];
  const leftOut = new LeftOut();
  let hasBrokenLinks = false;
  for (const { name, entry } of await entriesOf(folder)) {
    const found = entry.isSymbolicLink() ? statNow(join(folder, name)) : entry;
    if (!found) {
      hasBrokenLinks = true;
      leftOut.add('link', 'broken, in a circle or not permitted', name);
    } else if (found.isDirectory()) {
      const reason = setAside(name);
      if (reason === undefined) folders.push(name);
      else leftOut.add('folder', reason, name);
    } else if (!found.isFile()) {
      leftOut.add('special file', 'pipes, sockets and devices are not read', name);
    } else if (!isWanted(name)) {
      const why = missed(name);
      if (why && !name.startsWith('.')) leftOut.add(why.noun, why.reason, name);
    } else if (name.startsWith('.')) {
      leftOut.add('file', 'a name that starts with a dot', name);
    } else {
      files.push(name);
    }
  }
  return { folders, files, leftOut: leftOut.groups, hasBrokenLinks };
}

/** The entries of a folder, in the order of their names; names that are not UTF-8 are asked for as bytes, which takes longer. */
async function entriesOf(folder: string): Promise<{ name: string; entry: Dirent<string> | Dirent<Buffer> }[]> {
  const path = systemPath(folder);
  const entries = await readdir(path, { withFileTypes: true }).catch(() => null);
  const named = entries?.every(({ name }) => !name.includes('\ufffd'))
    ? entries.map((entry) => ({ name: entry.name, entry }))
    : (await readdir(path, { withFileTypes: true, encoding: 'buffer' })).map((entry) => {
        return { name: nameFromBytes(entry.name), entry };
      });
  return named.sort((a, b) => (a.name < b.name ? -1 : 1)); // of code units: the same in every locale
}

/** Files that are asked for between two turns of the event loop. */
const FILES_PER_TURN = 512;
/** Milliseconds for so many files above which the disk is slow, and several are asked for at the same time. */
const SLOW_MS = 100;

/**
 * What the system says of files, links followed; null where there is none. They are asked for one after the other, which
 * takes a fifth of the time of promises, unless the disk is so slow that waiting for it counts.
 * @param use is given it, with the place of the file in `paths`
 */
export async function statAll(paths: readonly string[], use: (found: Stats | null, at: number) => void): Promise<void> {
  let isSlow = false;
  for (let from = 0; from < paths.length; from += FILES_PER_TURN) {
    const part = paths.slice(from, from + FILES_PER_TURN);
    const started = performance.now();
    const found = isSlow
      ? await Promise.all(part.map((path) => stat(systemPath(path)).catch(() => null)))
      : part.map(statNow);
    isSlow ||= performance.now() - started > SLOW_MS;
    for (const [at, stats] of found.entries()) use(stats, from + at);
    await setImmediate(); // lets signals and progress through
  }
}

/** What the system says of a file; null where there is none. */
export function statNow(path: string): Stats | null {
  try {
    return statSync(systemPath(path), { throwIfNoEntry: false }) ?? null;
  } catch {
    return null;
  }
}
