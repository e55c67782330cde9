import { stat } from 'node:fs/promises';
import { basename, dirname, extname, isAbsolute, join, resolve } from 'node:path';
import { explainSystemError, UserError } from '../base/errors.js';
import { shownName, systemPath } from '../base/file-names.js';
import type { ImageCollection } from '../plugin.js';
import { createFingerprint } from './fingerprint.js';
import { FileColumns } from './listing/columns.js';
import { readListing, writeListing } from './listing/file.js';
import { statNow } from './listing/in-turns.js';
import { isImage, passedOver, USUAL_EXTENSIONS } from './listing/kinds.js';
import { LeftOut } from './listing/left-out.js';
import { byCodeUnits } from './listing/look.js';
import { readFileList } from './listing/name-list.js';
import { type FolderRecord, type FolderRecords, namesIn, type ScanOptions, scanFolders } from './listing/scan.js';
import { kindOf } from './read-file.js';

const LIST_EXTENSIONS = ['.txt', '.lst'];
/** Files whose sizes are compared with those of a kept listing. */
const COMPARED = 1000;

export interface ListingOptions {
  /** A file of `keepListing`; it need not be there. Folders that have not changed since are not listed again. */
  known?: string | null;
  /** Told now and then how many files were found. */
  tell?: (files: number) => void;
}

/** Images that were found in folders. */
export interface ListedImages extends ImageCollection {
  /** Whether all of it was known from a kept listing. */
  readonly wasKnown: boolean;
  /** Writes what was found to a file, for the next time. */
  keepListing(path: string): Promise<void>;
}

/**
 * The images of folders (any depth, symbolic links followed, as `lookInto` sees them), of lists of files (one path a line, relative to the list)
 * and of image files, in the order of their names. What is named or reached twice is taken once.
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
      if (!(index >= 0 && index < files.length)) throw new Error(`there is no image ${index} of ${files.length}`);
      const path = pathOf(files, index);
      return { name: shownName(path), source: path, place: files.place(index) };
    },
    notes,
    wasKnown: records.size > 0 && [...records].every(([folder, record]) => known.get(folder) === record),
    keepListing: (path) => writeListing(path, records),
  };
}

interface Found {
  files: FileColumns;
  fingerprint: string;
  records: FolderRecords;
  /** What was not taken, and why. */
  notes: string[];
}

async function listAll(paths: readonly string[], known: FolderRecords, options: ListingOptions): Promise<Found> {
  const files = new FileColumns();
  const records: FolderRecords = new Map();
  const visited = new Set<string>();
  const fingerprint = createFingerprint();
  const notes: string[] = [];
  const leftOut = new LeftOut();
  // Files of one folder are all different; others could be named twice.
  const taken =
    paths.length > 1 || LIST_EXTENSIONS.includes(extname(paths[0] ?? '').toLowerCase()) ? new Set<string>() : null;
  const add: AddFiles = (folder, prefix, names, bytes, from = 0, to = names.length) => {
    files.openFolder(folder, prefix);
    for (let at = from; at < to; at++) {
      const name = names[at] as string;
      const place = taken && resolve(joined(folder, name));
      if (place && taken.has(place)) {
        leftOut.add('name', 'named before', name);
        continue;
      }
      if (place) taken.add(place);
      files.add(name, bytes[at] as number);
      fingerprint.add(prefix + name, bytes[at] as number);
    }
  };
  for (const path of paths) {
    const tell = options.tell ?? (() => {});
    const before = files.length;
    notes.push(...(await addPath(path, { known, tell: (count) => tell(before + count) }, visited, records, add)));
  }
  for (const [folder, record] of records) {
    for (const { noun, reason, example, count } of record.leftOut)
      leftOut.add(noun, reason, join(folder, example), count);
  }
  return { files, fingerprint: fingerprint.value(), records, notes: [...notes, ...leftOut.notes] };
}

/**
 * Adds files of a folder, in their order.
 * @param prefix of their names as the fingerprint knows them: from what the user named, with '/', the same on every machine
 */
type AddFiles = (
  folder: string,
  prefix: string,
  names: readonly string[],
  bytes: ArrayLike<number>,
  from?: number,
  to?: number,
) => void;

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
    if (scanned.size > 0) addFolder(path, '', scanned, add);
    return [];
  }
  if (LIST_EXTENSIONS.includes(extname(path).toLowerCase())) {
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

/**
 * Adds the files of a folder and of those below it in the order of their whole names. The files of a folder stand together
 * there, as if its name ended with '/': so it is enough to sort within each.
 */
function addFolder(folder: string, prefix: string, records: FolderRecords, add: AddFiles): void {
  const record = records.get(folder);
  if (!record) return; // visited before, on another way
  const names = namesIn(record);
  let added = 0;
  for (const below of record.folders.map((name) => `${name}/`).sort(byCodeUnits)) {
    let next = added;
    while (next < names.length && (names[next] as string) < below) next++;
    if (next > added) add(folder, prefix, names, record.bytes, added, next);
    added = next;
    addFolder(join(folder, below.slice(0, -1)), prefix + below, records, add);
  }
  if (names.length > added) add(folder, prefix, names, record.bytes, added);
}

function haveSizesChanged(files: FileColumns): boolean {
  const step = Math.max(1, Math.floor(files.length / COMPARED));
  for (let index = 0; index < files.length; index += step) {
    if ((statNow(pathOf(files, index))?.size ?? 0) !== files.bytes(index)) return true;
  }
  return false;
}

function pathOf(files: FileColumns, index: number): string {
  return joined(files.folder(index), files.name(index));
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
