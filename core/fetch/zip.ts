import { createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { type Entry, openPromise } from 'yauzl';
import type { EntryFacts, Gate } from './extract.js';

/** Kinds of files in the upper half of the attributes that Unix systems write. */
const UNIX_KIND = 0o170000;
const UNIX_FILE = 0o100000;
const UNIX_FOLDER = 0o040000;
/** Of the place where an entry's maker is named. */
const MADE_ON_UNIX = 3;

/** Unpacks a zip archive as far as the gate lets it through. Links in zip archives are refused. */
export async function extractZip(
  archive: string,
  folder: string,
  admit: Gate,
  signal: AbortSignal | undefined,
): Promise<void> {
  // Names are checked by the gate, sizes by the package as it reads.
  const zip = await openPromise(archive, { lazyEntries: true, autoClose: false });
  try {
    for await (const entry of zip.eachEntry()) {
      signal?.throwIfAborted();
      if (!admit(factsOf(entry))) continue;
      const target = join(folder, entry.fileName);
      if (entry.fileName.endsWith('/')) {
        await mkdir(target, { recursive: true });
        continue;
      }
      await mkdir(dirname(target), { recursive: true });
      const stream = await zip.openReadStreamPromise(entry);
      await pipeline(stream, createWriteStream(target, { flags: 'wx' }), signal ? { signal } : {});
    }
  } finally {
    zip.close();
  }
}

function factsOf(entry: Entry): EntryFacts {
  const { fileName: name, uncompressedSize: bytes } = entry;
  const isUnix = entry.versionMadeBy >> 8 === MADE_ON_UNIX;
  const kind = isUnix ? (entry.externalFileAttributes >>> 16) & UNIX_KIND : 0;
  const isOrdinary = kind === 0 || kind === UNIX_FILE || kind === UNIX_FOLDER;
  return { name, bytes, kind: !isOrdinary ? 'other' : name.endsWith('/') ? 'folder' : 'file' };
}
