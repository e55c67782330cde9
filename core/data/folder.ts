import { stat } from 'node:fs/promises';
import { basename, dirname, extname, isAbsolute, join, resolve } from 'node:path';
import { explainSystemError, UserError } from '../base/errors.js';
import { shownName, systemPath } from '../base/file-names.js';
import { kindOf } from '../base/files.js';
import { createFingerprint } from './fingerprint.js';
import { Chain, NameColumn } from './listing/columns.js';
import { statNow } from './listing/in-turns.js';
import { type ListedImages, type ListingOptions, readListing, writeListing } from './listing/kept.js';
import { isImage, passedOver, USUAL_EXTENSIONS } from './listing/kinds.js';
import { LeftOut } from './listing/left-out.js';
import { readFileList } from './listing/name-list.js';
import { type FolderRecord, type FolderRecords, type ScanOptions, scanFolders } from './listing/scan.js';

const LIST_EXTENSIONS = ['.txt', '.lst'];
/** Files whose sizes are compared with those of a kept listing. */
const COMPARED = 1000;

/**
 * The images of folders (any depth, symbolic links followed, as `lookInto` sees them), of lists of files (one path a
 * line, relative to the list) and of image files, in the order of their names. What is named or reached twice is taken once.
 *
 * A kept listing is believed of folders whose time of change is the same: whatever is added, removed or renamed changes it.
 * A file that is rewritten in its place does not; the sizes of a thousand files that are evenly spread are compared, and
 * where one differs, everything is listed anew.
 * @throws UserError if a path does not exist, a folder cannot be read, or there is no image
 */
export async function openFolders(paths: readonly string[], options: ListingOptions = {}): Promise<ListedImages> {
  const known = options.known ? await readListing(options.known) : new Map<string, FolderRecord>();
  const listing = await listAll(paths, known, options);
  const isStale = known.size > 0 && haveSizesChanged(listing.files);
  const { files, fingerprint, records, notes } = isStale ? await listAll(paths, new Map(), options) : listing;
  if (files.length === 0) {
    throw new UserError([`no images in ${paths.join(', ')}`, ...notes].join('\n    '), {
      expected: `files that end in ${USUAL_EXTENSIONS.join(', ')}, in this folder or below it`,
      remedy: 'name a folder of images, a list of image files (.txt), or shapes',
    });
  }
  return {
    description: paths.map(shownName).join(', '),
    length: files.length,
    fingerprint,
    item: (index) => {
      const { path, place } = fileAt(files, index);
      return { name: shownName(path), source: path, place };
    },
    notes,
    wasKnown: records.size > 0 && [...records].every(([folder, record]) => known.get(folder) === record),
    keepListing: (path) => writeListing(path, records),
  };
}

interface Found {
  files: Chain<FolderFiles>;
  fingerprint: string;
  records: FolderRecords;
  /** What was not taken, and why. */
  notes: string[];
}

/** Files of a folder that follow one another. */
interface FolderFiles {
  folder: string;
  /** Before their names in the fingerprint: from what the user named, with '/', the same on every machine. */
  prefix: string;
  names: NameColumn;
  bytes: ArrayLike<number>;
  length: number;
}

type AddFiles = (folder: string, prefix: string, names: readonly string[], bytes: ArrayLike<number>) => void;

async function listAll(paths: readonly string[], known: FolderRecords, options: ListingOptions): Promise<Found> {
  const files = new Chain<FolderFiles>();
  const records: FolderRecords = new Map();
  const visited = new Set<string>();
  const fingerprint = createFingerprint();
  const notes: string[] = [];
  const leftOut = new LeftOut();
  // Files of one folder are all different; others could be named twice.
  const mayRepeat = paths.length > 1 || isList(paths[0] ?? '');
  const taken = new Set<string>();
  const isNew = (folder: string, name: string) => {
    const path = resolve(joined(folder, name));
    const isTaken = taken.has(path);
    if (isTaken) leftOut.add('name', 'named before', name);
    taken.add(path);
    return !isTaken;
  };
  const add: AddFiles = (folder, prefix, names, bytes) => {
    const numbers = mayRepeat ? [...names.keys()].filter((at) => isNew(folder, names[at] as string)) : null;
    const own = numbers ? numbers.map((at) => names[at] as string) : names;
    const sizes = numbers ? numbers.map((at) => bytes[at] as number) : bytes;
    own.forEach((name, at) => {
      fingerprint.add(prefix + name, sizes[at] as number);
    });
    files.add({ folder, prefix, names: new NameColumn(own), bytes: sizes, length: own.length });
  };
  for (const path of paths) {
    const tell = options.tell ?? (() => {});
    const before = files.length;
    notes.push(...(await addPath(path, { known, tell: (count) => tell(before + count) }, visited, records, add)));
  }
  for (const [folder, record] of records) leftOut.addAll(record.leftOut, folder);
  return { files, fingerprint: fingerprint.value(), records, notes: [...notes, ...leftOut.notes] };
}

/** @returns what is to be said of it */
async function addPath(
  path: string,
  options: ScanOptions,
  visited: Set<string>,
  records: FolderRecords,
  add: AddFiles,
): Promise<readonly string[]> {
  const found = await stat(systemPath(path)).catch((error: unknown) => {
    throw dataPathError(path, error);
  });
  if (found.isDirectory()) {
    const scanned = await scanFolders(path, visited, options);
    for (const [folder, record] of scanned) records.set(folder, record);
    addFolder(path, '', scanned, add);
    return [];
  }
  if (isList(path)) {
    const { names, bytes, notes } = await readFileList(path);
    add(dirname(path), '', names, bytes);
    return notes;
  }
  const kind = kindOf(found);
  const what = kind === null ? passedOver(path)?.reason : `it is ${kind}`;
  if (what === undefined && isImage(path)) {
    add(dirname(path), '', [basename(path)], [found.size]);
    return [];
  }
  throw new UserError(`${path} is neither a folder, nor an image, nor a list of images${what ? `: ${what}` : ''}`, {
    expected: `a folder, an image (${USUAL_EXTENSIONS.join(', ')}), a list (${LIST_EXTENSIONS.join(', ')}) or shapes`,
  });
}

function isList(path: string): boolean {
  return LIST_EXTENSIONS.includes(extname(path).toLowerCase());
}

/**
 * Adds the files of a folder and of those below it in the order of their whole names. The files of a folder stand together
 * there, as if its name ended with '/': so it is enough to sort within each.
 */
function addFolder(folder: string, prefix: string, records: FolderRecords, add: AddFiles): void {
  const record = records.get(folder);
  if (!record) return; // visited before, on another way
  const names = record.names === '' ? [] : record.names.split('/');
  let added = 0;
  const addUpTo = (end: number) => {
    if (end > added) add(folder, prefix, names.slice(added, end), record.bytes.subarray(added, end));
    added = end;
  };
  for (const below of record.folders.map((name) => `${name}/`).sort()) {
    let next = added;
    while (next < names.length && (names[next] as string) < below) next++;
    addUpTo(next);
    addFolder(join(folder, below.slice(0, -1)), prefix + below, records, add);
  }
  addUpTo(names.length);
}

function haveSizesChanged(files: Chain<FolderFiles>): boolean {
  const step = Math.max(1, Math.floor(files.length / COMPARED));
  for (let index = 0; index < files.length; index += step) {
    const { path, bytes } = fileAt(files, index);
    if ((statNow(path)?.size ?? 0) !== bytes) return true;
  }
  return false;
}

/** A file, and its path from what the user named. */
function fileAt(files: Chain<FolderFiles>, index: number): { path: string; place: string; bytes: number } {
  const { list, first } = files.find(index);
  const name = list.names.at(index - first);
  return { path: joined(list.folder, name), place: list.prefix + name, bytes: list.bytes[index - first] as number };
}

/** The names in a list may be absolute. */
function joined(folder: string, name: string): string {
  return isAbsolute(name) ? name : join(folder, name);
}

function dataPathError(path: string, error: unknown): unknown {
  const explained = explainSystemError(error, path);
  if (!(explained instanceof UserError) || !explained.message.endsWith('does not exist')) return explained;
  return new UserError(`${path} does not exist (looked for ${resolve(path)})`, {
    expected: 'a folder of images, a list of image files (.txt), or the name of a data set',
    remedy: 'check the path',
  });
}
