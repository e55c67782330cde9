import type { FileHandle } from 'node:fs/promises';
import { type Entry, fromRandomAccessReaderPromise, RandomAccessReader, type ZipFile } from 'yauzl';
import { LONGEST_DESCRIPTION, PickleReader, unpickle } from './pickle.js';
import type { Place, TorchSource } from './source.js';
import type { Storage } from './tensor.js';
import type { TorchTree } from './tree.js';

/** Names in an archive: that of a file with 100,000 tensors has as many. */
const MOST_ENTRIES = 2 ** 18;
/** Ends the name of a description, which lies at the root of the archive's one folder. */
const DESCRIPTION = 'data.pkl';

/** Reads the form that torch.save has written since PyTorch 1.6: a zip archive of a pickle and of storages, not compressed. */
export async function readZip(file: FileHandle, source: TorchSource): Promise<TorchTree> {
  const reader = new OpenFile(file, source);
  const options = { autoClose: false };
  const zip = await source.attempt('as a zip archive', () =>
    fromRandomAccessReaderPromise(reader, source.size, options),
  );
  const entries = await source.attempt('as a zip archive', () => listEntries(zip));
  const descriptions = [...entries.keys()].filter((name) => /^[^/]+\/data\.pkl$/.test(name));
  const [description] = descriptions;
  if (descriptions.length !== 1) throw source.unreadable(`it has ${descriptions.length} descriptions of tensors`);
  const folder = description.slice(0, -DESCRIPTION.length);
  const placeOf = (name: string) => {
    const entry = entries.get(name);
    if (entry === undefined) throw source.unreadable(`it lacks ${name}`);
    return source.attempt(name, () => placeOfEntry(zip, entry));
  };
  const contentOf = async (name: string, most: number) => {
    const place = await placeOf(name);
    if (place.length > most) throw source.unreadable(`${name} is ${place.length} bytes long`);
    return Buffer.from(await source.readOpenPlace(file, place));
  };
  const order = `${folder}byteorder`; // what has none is from a machine with the usual one, as good as surely
  if (entries.has(order) && String(await contentOf(order, 16)) !== 'little') {
    throw source.unreadable('its numbers are big-endian');
  }
  const content = await contentOf(description, LONGEST_DESCRIPTION);
  const storages = new Map<string, Storage>();
  const places = new Map<string, Place>();
  const tree = await source.attempt(description, () => unpickle(new PickleReader(content), source, storages, places));
  for (const { key, kind, count } of storages.values()) {
    const name = `${folder}data/${key}`;
    const place = await placeOf(name);
    if (place.length !== count * kind.bytes) {
      throw source.unreadable(`${name} has ${place.length} bytes instead of ${count * kind.bytes}`);
    }
    places.set(key, place);
  }
  requireApart(source, places);
  return tree;
}

/** What the package reads by itself may lie anywhere, and then throws where nothing catches it. */
class OpenFile extends RandomAccessReader {
  constructor(
    private readonly file: FileHandle,
    private readonly source: TorchSource,
  ) {
    super();
  }

  override read(
    buffer: Buffer,
    offset: number,
    length: number,
    position: number,
    done: (error: Error | null) => void,
  ): void {
    const copy = (bytes: Uint8Array) => {
      buffer.set(bytes, offset);
      done(null);
    };
    this.source.readOpen(this.file, position, length).then(copy, done);
  }
}

async function listEntries(zip: ZipFile): Promise<Map<string, Entry>> {
  const entries = new Map<string, Entry>();
  for await (const entry of zip.eachEntry()) {
    if (entries.has(entry.fileName)) throw new Error(`it has ${entry.fileName} twice`);
    if (entries.size === MOST_ENTRIES) throw new Error(`it has more than ${MOST_ENTRIES} entries`);
    entries.set(entry.fileName, entry);
  }
  return entries;
}

async function placeOfEntry(zip: ZipFile, entry: Entry): Promise<Place> {
  if (entry.compressionMethod !== 0 || entry.isEncrypted()) throw new Error('it is compressed or encrypted');
  const { fileDataStart } = await zip.readLocalFileHeaderPromise(entry, { minimal: true });
  const { compressedSize: length, crc32: checksum } = entry;
  return { start: fileDataStart, length, checksum: checksum || null }; // PyTorch can be told to take none
}

/** Refuses storages that share bytes: no writer makes them. */
function requireApart(source: TorchSource, places: ReadonlyMap<string, Place>): void {
  const inOrder = [...places].sort(([, a], [, b]) => a.start - b.start);
  let end = 0;
  for (const [key, { start, length }] of inOrder) {
    if (start < end) throw source.unreadable(`the storage ${key} lies in the bytes of another one`);
    end = start + length;
  }
}
