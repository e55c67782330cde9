import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { basename, dirname, join, posix } from 'node:path';
import { pipeline } from 'node:stream/promises';
import * as tar from 'tar';
import { type Entry, openPromise } from 'yauzl';
import { explainSystemError, reasonOf, UserError } from '../base/errors.js';
import { createGate, type EntryFacts, type Gate, type GateOptions } from './gate.js';

export interface ExtractOptions extends GateOptions {
  signal?: AbortSignal;
  /** What the archive should be, for messages. */
  what?: string;
}

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
    const explained = explainSystemError(error, isReadingFailure(error) ? archive : folder);
    if (explained instanceof UserError) throw explained;
    const what = options.what ?? (isZip ? 'a whole zip archive' : 'a whole tar archive');
    throw new UserError(`${basename(archive)} is not ${what} and cannot be unpacked: ${reasonOf(error)}`, {
      remedy: 'remove it and fetch it again',
    });
  }
}

function isReadingFailure(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error && (error.syscall === 'read' || error.syscall === 'open');
}

async function extractTar(archive: string, folder: string, admit: Gate, signal?: AbortSignal): Promise<void> {
  let refusal: { error: unknown } | undefined;
  const source = createReadStream(archive, { highWaterMark: 1 << 18 });
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

function tarFacts({ path, type, size, linkpath }: tar.ReadEntry): EntryFacts {
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

function zipFacts({
  fileName: name,
  uncompressedSize: bytes,
  versionMadeBy,
  externalFileAttributes,
}: Entry): EntryFacts {
  const unixKind = versionMadeBy >> 8 === MADE_ON_UNIX ? (externalFileAttributes >>> 16) & UNIX_KIND : 0;
  const kind = !UNIX_ORDINARY.includes(unixKind) ? 'other' : name.endsWith('/') ? 'folder' : 'file';
  return { name, bytes, kind };
}
