import { createReadStream, createWriteStream } from 'node:fs';
import { lstat, mkdir, readdir, rename } from 'node:fs/promises';
import { basename, dirname, join, posix } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type * as Tar from 'tar';
import type { Entry } from 'yauzl';
import { explainSystemError, printable, reasonOf, UserError } from '../base/errors.js';

export interface ExtractOptions {
  /** Which entries are taken, by their names in the archive; all where this is left out. */
  selects?: (name: string) => boolean;
  /** Archives that hold more bytes or entries are refused. */
  limits?: { bytes: number; entries: number };
  /** Is told how many bytes of entries have been begun. */
  onProgress?: (bytes: number) => void;
  signal?: AbortSignal;
  /** What the archive should be, for messages. */
  what?: string;
}

/** What is said of an entry before it is written. */
interface EntryFacts {
  name: string;
  kind: 'file' | 'folder' | 'link' | 'other';
  bytes: number;
  /** Where a link leads, and the folder of the archive from which. */
  link?: { from: string; to: string };
}

type Gate = (entry: EntryFacts) => boolean;

/** The kinds of tar entries that are files and folders. */
export const TAR_FILES: readonly string[] = ['File', 'OldFile', 'ContiguousFile'];
const TAR_FOLDERS = ['Directory', 'GNUDumpDir'];

/** In zip archives that Unix systems wrote: their number, and what is said of an entry in the upper half of its attributes. */
const MADE_ON_UNIX = 3;
const UNIX_KIND = 0o170000;
/** Files, folders, and what tells nothing. */
const UNIX_ORDINARY = [0o100000, 0o040000, 0];

/** Whether a file is of a kind that `extractArchive` knows, by its name. */
export function isArchive(path: string): boolean {
  return /\.(?:tar|tar\.gz|tgz|zip|whl)$/i.test(path);
}

/**
 * Unpacks a .tar, .tar.gz, .zip or .whl into a folder that exists and is empty. Entries are refused that would lie outside
 * the folder, links that lead out of it, and whatever is neither file, folder nor link; links in zip archives too. When this
 * fails, entries that came before stay in the folder: the caller removes it.
 * @throws UserError if the archive is damaged, or holds what is refused
 * @throws the signal's reason when it aborts
 */
export async function extractArchive(archive: string, folder: string, options: ExtractOptions = {}): Promise<void> {
  const { signal } = options;
  const isZip = /\.(?:zip|whl)$/i.test(archive);
  const admit = createGate(basename(archive), options);
  try {
    await (isZip ? extractZip : extractTar)(archive, folder, admit, signal);
  } catch (error) {
    signal?.throwIfAborted();
    const isReading = error instanceof Error && 'syscall' in error && ['read', 'open'].includes(String(error.syscall));
    const explained = explainSystemError(error, isReading ? archive : folder);
    if (explained instanceof UserError) throw explained;
    const what = options.what ?? (isZip ? 'a whole zip archive' : 'a whole tar archive');
    throw new UserError(`${basename(archive)} is not ${what} and cannot be unpacked: ${reasonOf(error)}`, {
      remedy: 'remove it and fetch it again',
    });
  }
}

/**
 * Moves everything in a folder into another one on the same disk. Folders that are there already take in what is new;
 * files of the same size are taken to be the same and stay as they are.
 * @returns the names that were moved, at the top
 * @throws UserError, before anything is moved, if something else is in the way
 */
export async function moveInto(from: string, to: string): Promise<string[]> {
  const moves: [source: string, target: string][] = [];
  const look = async (folder: string, into: string): Promise<string[]> => {
    const names = await readdir(folder);
    for (const name of names) {
      const [source, target] = [join(folder, name), join(into, name)];
      const [moved, there] = [await lstat(source), await lstat(target).catch(() => null)];
      if (!there) moves.push([source, target]);
      else if (moved.isDirectory() && there.isDirectory()) await look(source, target);
      else if (!moved.isFile() || !there.isFile() || moved.size !== there.size) {
        throw new UserError(`${target} is in the way`, {
          expected: 'that nothing else has the name of what is unpacked',
          remedy: 'remove or rename it, or choose another folder; nothing was changed',
        });
      }
    }
    return names.sort();
  };
  const names = await look(from, to);
  for (const [source, target] of moves) await rename(source, target);
  return names;
}

async function extractTar(archive: string, folder: string, admit: Gate, signal?: AbortSignal): Promise<void> {
  let refusal: { error: unknown } | undefined;
  const source = createReadStream(archive, { highWaterMark: 1 << 18 });
  const tar = await import('tar');
  const unpack = tar.extract({
    cwd: folder,
    strict: true, // whatever the package would pass over with a warning is an error
    preserveOwner: false,
    noMtime: true,
    filter(_path, entry) {
      if (refusal) return false;
      try {
        return entry instanceof tar.ReadEntry && admit(tarFacts(entry));
      } catch (error) {
        // What is thrown here would not reach the caller; a source that breaks does.
        refusal = { error };
        source.destroy(error instanceof Error ? error : new Error(String(error)));
        return false;
      }
    },
  });
  await pipeline(source, unpack, signal ? { signal } : {});
  if (refusal) throw refusal.error; // it came with the last bytes, after which the source was done
}

function tarFacts({ path, type, size, linkpath }: Tar.ReadEntry): EntryFacts {
  const name = String(path);
  if (type === 'SymbolicLink' || type === 'Link') {
    // A symbolic link leads on from where it lies, a hard link from the root.
    const from = type === 'SymbolicLink' ? posix.dirname(name) : '';
    return { name, kind: 'link', bytes: 0, link: { from, to: String(linkpath) } };
  }
  const kind = TAR_FILES.includes(type) ? 'file' : TAR_FOLDERS.includes(type) ? 'folder' : 'other';
  return { name, kind, bytes: size };
}

async function extractZip(archive: string, folder: string, admit: Gate, signal?: AbortSignal): Promise<void> {
  // Names are checked by the gate, sizes by the package as it reads.
  const { openPromise } = await import('yauzl'); // loaded by those alone who unpack a zip
  const zip = await openPromise(archive, { lazyEntries: true, autoClose: false });
  try {
    for await (const entry of zip.eachEntry()) {
      signal?.throwIfAborted();
      const facts = zipFacts(entry);
      if (!admit(facts)) continue;
      const target = join(folder, entry.fileName);
      await mkdir(facts.kind === 'folder' ? target : dirname(target), { recursive: true });
      if (facts.kind === 'folder') continue;
      const stream = await zip.openReadStreamPromise(entry);
      await pipeline(stream, createWriteStream(target, { flags: 'wx' }), signal ? { signal } : {});
    }
  } finally {
    zip.close();
  }
}

function zipFacts({ fileName, uncompressedSize, versionMadeBy, externalFileAttributes }: Entry): EntryFacts {
  const unixKind = versionMadeBy >> 8 === MADE_ON_UNIX ? (externalFileAttributes >>> 16) & UNIX_KIND : 0;
  const kind = !UNIX_ORDINARY.includes(unixKind) ? 'other' : fileName.endsWith('/') ? 'folder' : 'file';
  return { name: fileName, bytes: uncompressedSize, kind };
}

/** Decides of each entry in turn whether it is written; refuses archives that hold what must not be, or too much. */
function createGate(archive: string, { selects, limits, onProgress }: ExtractOptions): Gate {
  let [bytes, entries] = [0, 0];
  return (entry) => {
    const problem = problemOf(entry);
    if (problem) {
      throw new UserError(`${archive} holds ${printable(entry.name, 200)}, ${problem}`, {
        expected: 'files and folders that stay in the folder into which they are unpacked',
        remedy: 'do not use this archive: nothing of it was kept',
      });
    }
    if (selects && !selects(entry.name)) return false;
    bytes += entry.bytes;
    entries += 1;
    const most = limits ?? { bytes, entries };
    const excess = bytes > most.bytes ? `${most.bytes} bytes` : entries > most.entries && `${most.entries} entries`;
    if (excess) {
      const expected = 'an archive that fits the disk and is not made to fill it';
      throw new UserError(`${archive} holds more than ${excess}`, { expected });
    }
    onProgress?.(bytes);
    return true;
  };
}

function problemOf({ name, kind, link }: EntryFacts): string | null {
  if (isAbsolute(name)) return 'an absolute path';
  if (meaningful(name).includes('..')) return 'a path that leads out of the folder';
  if (name.includes('\0')) return 'a name that no file can have';
  if (kind === 'other') return 'which is neither a file nor a folder';
  if (link && leadsOut(link.from, link.to)) return 'a link that leads out of the folder';
  if (link && isPartOfOther(name, link.to))
    return 'a link to the name of a folder around it, or to what would lie in it';
  return null;
}

function isAbsolute(path: string): boolean {
  return /^(?:[\\/]|[a-z]:)/i.test(path);
}

/** Whether a link leads, or could lead by way of other links, out of the archive's root. */
function leadsOut(from: string, to: string): boolean {
  if (isAbsolute(to)) return true;
  const parts = meaningful(to);
  const down = parts.findIndex((part) => part !== '..');
  const up = down < 0 ? parts.length : down;
  // Behind a name, which may be a link itself, '..' may be anywhere.
  return up > meaningful(from).length || parts.slice(up).includes('..');
}

/** Whether one path begins with the other: the tar package would wait for itself, for ever, to be done with such a link. */
function isPartOfOther(path: string, other: string): boolean {
  const [short = [], long = []] = [path, other]
    .map((each) => meaningful(each.normalize('NFD').toLowerCase().toUpperCase()))
    .sort((a, b) => a.length - b.length);
  return short.length > 0 && short.length < long.length && short.every((part, at) => part === long[at]);
}

function meaningful(path: string): string[] {
  return path.split(/[\\/]/).filter((part) => part !== '' && part !== '.');
}
