import { createHash } from 'node:crypto';
import { rm } from 'node:fs/promises';
import sharp from 'sharp';
import { Header } from 'tar/header';
import { Pax } from 'tar/pax';
import { writeAtomically } from '../../base/atomic.js';
import { bytesOfName, shownName } from '../../base/file-names.js';
import { inOrder } from '../../base/pool.js';
import type { ImageCollection, ImageItem, LabelledImages } from '../../contract/data-sets.js';
import { availableCores } from '../../engine/machine.js';
import { formatOf } from '../decode/decode.js';
import { IMAGE_EXTENSIONS } from '../listing/kinds.js';
import type { Picture } from '../picture.js';
import { bytesOf, decodeBytes, decodeTogether } from '../read-picture.js';
import { resample } from '../resample/resample.js';
import { unreadableReason } from '../skipped.js';
import { SHARD_FORMAT, type ShardIndex } from './index-file.js';
import { NO_CLASS } from './samples.js';
import { BLOCK } from './tar-header.js';

export interface ShardTask {
  images: ImageCollection | LabelledImages;
  /** The same images, as they are read. */
  sources: ImageCollection;
  /** Shorter side to which larger images are brought, in pixels; null for none. */
  resize: number | null;
  /** Of their JPEG, from 1 to 100. */
  quality: number;
  pixelLimit: number;
  /** When a shard is full; null for no limit. */
  imagesPerShard: number | null;
  shardBytes: number | null;
  /** Is told how many images of the data set are done. */
  tell: (done: number) => void;
  signal: AbortSignal;
}

/** The same for every entry, so that the same content gives the same bytes. */
const FACTS = { mode: 0o644, uid: 0, gid: 0, mtime: new Date(0) };

export const END_MARK = Buffer.alloc(2 * BLOCK);
/** Extensions that readers of shards know. */
const EXTENSIONS = { jpeg: 'jpg', png: 'png', webp: 'webp', gif: 'gif', tiff: 'tif', avif: 'avif' } as const;

/**
 * Writes a shard of the images from number `first` on, until it is full or there are no more: for each a file with the
 * image and, where it has a class, one with its number. Whole or not at all, and the same bytes every time.
 * @returns its index; that of a shard without images where none was left that can be read, and no file is there then
 */
export async function writeShard(path: string, first: number, task: ShardTask): Promise<ShardIndex> {
  const index: ShardIndex = {
    ...{ format: SHARD_FORMAT, bytes: 0, sha256: '', first, next: first },
    ...{ skipped: [], names: [], offsets: [], sizes: [], classes: [] },
  };
  await writeAtomically(path, async (file) => {
    const hash = createHash('sha256');
    const write = async (bytes: Uint8Array) => {
      hash.update(bytes);
      await file.writeFile(bytes); // all of it, where the last one ended; `write` may write less
      index.bytes += bytes.length;
    };
    await fillShard(write, index, task);
    await write(END_MARK);
    index.sha256 = hash.digest('hex');
  });
  if (index.names.length === 0) await rm(path);
  return index;
}

async function fillShard(write: (bytes: Uint8Array) => Promise<void>, index: ShardIndex, task: ShardTask) {
  const { images, imagesPerShard, shardBytes, tell, signal } = task;
  const keys = new SampleNames();
  const add = async (name: string, content: Uint8Array) => {
    const { head, padding } = tarEntry(name, content);
    const offset = index.bytes + head.length;
    for (const piece of [head, content, padding]) await write(piece);
    return offset;
  };
  for await (const converted of convertedFrom(index.first, task)) {
    signal.throwIfAborted();
    const { name, place } = images.item(index.next);
    if (typeof converted === 'string') {
      index.skipped.push({ name: place === undefined ? name : shownName(place), reason: converted });
    } else {
      const { bytes, isUnchanged } = converted;
      const end = index.bytes + entryBytes(bytes.length) + entryBytes(1) + END_MARK.length; // with its class
      const isFull = index.names.length === imagesPerShard || (shardBytes !== null && end > shardBytes);
      if (isFull && index.names.length > 0) return; // one that is too large for any shard has one for itself
      const { key, extension } = keys.take(place ?? name, converted.extension);
      const label = 'classOf' in images ? images.classOf(index.next) : NO_CLASS;
      index.offsets.push(await add(key + extension, bytes));
      index.sizes.push(bytes.length);
      index.names.push(isUnchanged && place !== undefined ? place : key + extension);
      index.classes.push(label);
      if (label !== NO_CLASS) await add(`${key}.cls`, Buffer.from(String(label)));
    }
    index.next++;
    tell(index.next);
  }
}

/** The images from number `first` on, several read at the same time; for one that cannot be read the reason. */
function convertedFrom(first: number, task: ShardTask) {
  const { sources } = task;
  function* items(): Generator<ImageItem> {
    for (let number = first; number < sources.length; number++) yield sources.item(number);
  }
  const convert = (item: ImageItem) => convertImage(item, task).catch(unreadableReason);
  const concurrency = 2 * availableCores();
  return inOrder(items(), convert, { concurrency, ahead: 2 * concurrency });
}

/**
 * Reads an image and makes it smaller where that is asked for, as JPEG; what is no picture file of the usual kinds, such as
 * a drawing that a plugin makes, becomes PNG.
 * @returns whether its bytes are those of the source; the extension of its format, null where that of its name is right
 * @throws Error if the image cannot be read; its message is the reason, in one line
 */
async function convertImage(item: ImageItem, { resize, quality, pixelLimit }: ShardTask) {
  const bytes = await bytesOf(item);
  const picture = await decodeBytes(item, bytes, pixelLimit);
  if (resize !== null && Math.min(picture.width, picture.height) > resize) {
    return { bytes: await smallerJpeg(picture, resize, quality), isUnchanged: false, extension: 'jpg' };
  }
  if (extensionOf(item.place ?? item.name) !== '') return { bytes, isUnchanged: true, extension: null };
  const format = formatOf(bytes);
  if (format !== null) return { bytes, isUnchanged: true, extension: EXTENSIONS[format] };
  return { bytes: await decodeTogether(() => encode(picture).png().toBuffer()), isUnchanged: false, extension: 'png' };
}

/** A picture whose shorter side has `shorter` pixels: bicubic with antialiasing. */
async function smallerJpeg(picture: Picture, shorter: number, quality: number): Promise<Buffer> {
  const { width, height } = picture;
  const longer = Math.max(shorter, Math.round((shorter * Math.max(width, height)) / Math.min(width, height)));
  const size = width <= height ? { width: shorter, height: longer } : { width: longer, height: shorter };
  const rgb = resample(picture, { interpolation: 'bicubic', box: { left: 0, top: 0, width, height }, ...size });
  const jpeg = encode({ rgb, ...size }).jpeg({ quality });
  return decodeTogether(() => jpeg.toBuffer());
}

function encode({ rgb, width, height }: Picture) {
  return sharp(rgb, { raw: { width, height, channels: 3 } });
}

/** Bytes that a file of so many takes, unless its name is long. */
function entryBytes(size: number): number {
  return BLOCK + BLOCK * Math.ceil(size / BLOCK);
}

/** A file as it lies in a tar archive: headers, content, and zeros up to a whole block. */
export function tarEntry(name: string, content: Uint8Array): { head: Buffer; padding: Buffer } {
  const block = Buffer.alloc(BLOCK);
  const header = new Header({ path: name, size: content.length, type: 'File', ...FACTS });
  const isTooLong = header.encode(block); // or not ASCII
  const head = isTooLong ? Buffer.concat([new Pax({ path: name, ...FACTS }).encode(), block]) : block;
  return { head, padding: Buffer.alloc((BLOCK - (content.length % BLOCK)) % BLOCK) };
}

/**
 * Names for the samples of a shard, each with a key of its own: readers take what stands before the first dot of a file's
 * name as its key, and consecutive files of one key as one sample.
 */
export class SampleNames {
  readonly #keys = new Set<string>();

  /**
   * @param place the image's path in its data set; kept as it is where that gives a key of its own
   * @param extension of the image's format, such as 'jpg'; null to leave that of the name
   * @returns the key, and the extension with its dot
   */
  take(place: string, extension: string | null): { key: string; extension: string } {
    const parts = place.split(/[\\/]/).filter((part) => !['', '.', '..'].includes(part) && !/^[A-Za-z]:$/.test(part));
    const base = parts.pop() ?? '';
    const found = extensionOf(base);
    const stem = base.slice(0, base.length - found.length).replaceAll('.', '_') || 'image';
    const wanted = [...parts, stem]
      .join('/')
      .replaceAll(/\p{Cc}/gu, '_')
      // Readers of shards know names as text only: a byte that is not UTF-8 as in an address.
      .replaceAll(/[\udc80-\udcff]/gu, (byte) => `%${bytesOfName(byte).toString('hex').toUpperCase()}`);
    let key = wanted;
    for (let number = 2; this.#keys.has(key); number++) key = `${wanted}-${number}`;
    this.#keys.add(key);
    return { key, extension: extension === null ? found : `.${extension}` };
  }
}

/** 'a.b.JPG' -> '.JPG'; '' where a name does not end like an image. */
function extensionOf(base: string): string {
  const found = /\.\w+$/.exec(base)?.[0] ?? '';
  return IMAGE_EXTENSIONS.includes(found.toLowerCase()) ? found : '';
}
