import { stat } from 'node:fs/promises';
import { basename, dirname, extname, join, resolve } from 'node:path';
import { explainSystemError, isMissing, UserError } from '../base/errors.js';
import { shownName, systemPath } from '../base/file-names.js';
import { kindOf } from '../base/files.js';
import { Chain, createFingerprint, NameColumn } from './listing/columns.js';
import {
  type FolderRecords,
  type ListedImages,
  type ListingOptions,
  readListing,
  writeListing,
} from './listing/kept.js';
import { isImage, LeftOut, passedOver, USUAL_EXTENSIONS } from './listing/kinds.js';
import { inFolder, readFileList } from './listing/name-list.js';
import { type ScanOptions, scanFolders, statNow } from './listing/scan.js';

const LIST_EXTENSIONS = ['.txt', '.lst'];
/** Files whose sizes are compared with those of a kept listing. */
const COMPARED = 1000;

/**
 * The images of folders (any depth, symbolic links followed, as `lookInto` sees them), of lists of files (one path a
 * line, relative to the list) and of image files, in the order of their names. What is named or reached twice is taken once.
 * A kept listing is believed of folders whose time of change is the same, unless one of some files that are evenly spread
 * has another size: a file that is rewritten in its place does not change its folder.
 * @throws UserError if a path does not exist, a folder cannot be read, or there is no image
 */
export async function openFolders(paths: readonly string[], options: ListingOptions = {}): Promise<ListedImages> {
  const known: FolderRecords = options.known ? await readListing(options.known) : new Map();
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

/** Files of a folder that follow one another. */
interface Part {
  folder: string;
  /** Before their names in the fingerprint: from what the user named, with '/', the same on every machine. */
  prefix: string;
  names: readonly string[];
  bytes: ArrayLike<number>;
}
type PackedPart = Omit<Part, 'names'> & { names: NameColumn; length: number };

async function listAll(paths: readonly string[], known: FolderRecords, options: ListingOptions) {
  const files = new Chain<PackedPart>();
  const records: FolderRecords = new Map();
  const visited = new Set<string>();
  const fingerprint = createFingerprint();
  const notes: string[] = [];
  const leftOut = new LeftOut();
  // Files of one folder are all different; others could be named twice.
  const mayRepeat = paths.length > 1 || isList(paths[0] ?? '');
  const taken = new Set<string>();
  const isNew = (folder: string, name: string) => {
    const path = resolve(inFolder(folder, name));
    const isTaken = taken.has(path);
    if (isTaken) leftOut.add('name', 'named before', name);
    taken.add(path);
    return !isTaken;
  };
  const add = ({ folder, prefix, names, bytes }: Part) => {
    const numbers = mayRepeat ? [...names.keys()].filter((at) => isNew(folder, names[at])) : null;
    const own = numbers ? numbers.map((at) => names[at]) : names;
    const sizes = numbers ? numbers.map((at) => bytes[at]) : bytes;
    for (const [at, name] of own.entries()) fingerprint.add(prefix + name, sizes[at]);
    files.add({ folder, prefix, names: new NameColumn(own), bytes: sizes, length: own.length });
  };
  for (const path of paths) {
    const before = files.length;
    const found = await findFiles(path, visited, { known, tell: (count) => options.tell?.(before + count) });
    for (const part of found.parts) add(part);
    for (const [folder, record] of found.records ?? []) records.set(folder, record);
    notes.push(...(found.notes ?? []));
  }
  for (const [folder, record] of records) leftOut.addAll(record.leftOut, folder);
  return { files, fingerprint: fingerprint.value(), records, notes: [...notes, ...leftOut.notes] };
}

/** What a path stands for, with the records of its folders and what is to be said of it. */
type Found = { parts: Iterable<Part>; records?: FolderRecords; notes?: readonly string[] };

async function findFiles(path: string, visited: Set<string>, options: ScanOptions): Promise<Found> {
  const found = await stat(systemPath(path)).catch((error: unknown) => {
    if (!isMissing(error)) throw explainSystemError(error, path);
    throw new UserError(`${path} does not exist (looked for ${resolve(path)})`, {
      expected: 'a folder of images, a list of image files (.txt), or the name of a data set',
      remedy: 'check the path',
    });
  });
  if (found.isDirectory()) {
    const records = await scanFolders(path, visited, options);
    return { parts: partsOf(path, '', records), records };
  }
  const place = { folder: dirname(path), prefix: '' };
  if (isList(path)) {
    const { notes, ...files } = await readFileList(path);
    return { parts: [{ ...place, ...files }], notes };
  }
  const kind = kindOf(found);
  const what = kind === null ? passedOver(path)?.reason : `it is ${kind}`;
  if (what === undefined && isImage(path)) {
    return { parts: [{ ...place, names: [basename(path)], bytes: [found.size] }] };
  }
  throw new UserError(`${path} is neither a folder, nor an image, nor a list of images${what ? `: ${what}` : ''}`, {
    expected: `a folder, an image (${USUAL_EXTENSIONS.join(', ')}), a list (${LIST_EXTENSIONS.join(', ')}) or shapes`,
  });
}

function isList(path: string): boolean {
  return LIST_EXTENSIONS.includes(extname(path).toLowerCase());
}

/**
 * The files of a folder and of those below it in the order of their whole names. The files of a folder stand together
 * there, as if its name ended with '/': so it is enough to sort within each.
 */
function* partsOf(folder: string, prefix: string, records: FolderRecords): Generator<Part> {
  const record = records.get(folder);
  if (!record) return; // visited before, on another way
  const names = record.names === '' ? [] : record.names.split('/');
  let done = 0;
  for (const below of [...record.folders.map((name) => `${name}/`).sort(), null]) {
    let end = done;
    while (end < names.length && (below === null || names[end] < below)) end++;
    if (end > done) yield { folder, prefix, names: names.slice(done, end), bytes: record.bytes.subarray(done, end) };
    done = end;
    if (below !== null) yield* partsOf(join(folder, below.slice(0, -1)), prefix + below, records);
  }
}

function haveSizesChanged(files: Chain<PackedPart>): boolean {
  const step = Math.max(1, Math.floor(files.length / COMPARED));
  const compared = Array.from({ length: Math.ceil(files.length / step) }, (_, at) => fileAt(files, at * step));
  return compared.some(({ path, bytes }) => (statNow(path)?.size ?? 0) !== bytes);
}

/** A file, and its path from what the user named. */
function fileAt(files: Chain<PackedPart>, index: number): { path: string; place: string; bytes: number } {
  const { list, at } = files.find(index);
  const name = list.names.at(at);
  return { path: inFolder(list.folder, name), place: list.prefix + name, bytes: list.bytes[at] };
}
