import { createReadStream } from 'node:fs';
import { posix } from 'node:path';
import { pipeline } from 'node:stream/promises';
import * as tar from 'tar';
import type { EntryFacts, Gate } from './extract.js';

export const FILE_TYPES: readonly string[] = ['File', 'OldFile', 'ContiguousFile'];
const FOLDERS = ['Directory', 'GNUDumpDir'];

/** Unpacks a tar archive, packed or not, as far as the gate lets it through. */
export async function extractTar(
  archive: string,
  folder: string,
  admit: Gate,
  signal: AbortSignal | undefined,
): Promise<void> {
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
        return entry instanceof tar.ReadEntry && admit(factsOf(entry));
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

function factsOf({ path, type, size, linkpath }: tar.ReadEntry): EntryFacts {
  const name = String(path);
  if (type === 'SymbolicLink' || type === 'Link') {
    // A symbolic link leads on from where it lies, a hard link from the root.
    const from = type === 'SymbolicLink' ? posix.dirname(name) : '';
    return { name, kind: 'link', bytes: 0, link: { from, to: String(linkpath) } };
  }
  const kind = FILE_TYPES.includes(type) ? 'file' : FOLDERS.includes(type) ? 'folder' : 'other';
  return { name, kind, bytes: size };
}
