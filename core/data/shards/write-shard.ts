import { rm } from 'node:fs/promises';
import sharp from 'sharp';
import { writeAtomically } from '../../base/atomic.js';
import { shownName } from '../../base/file-names.js';
import { inOrder } from '../../base/pool.js';
import type { ImageCollection, ImageItem, LabelledImages } from '../../contract/data-sets.js';
import { availableCores } from '../../engine/threads.js';
import { formatOf } from '../decode/format.js';
import { decodeTogether } from '../decode/turns.js';
import type { Picture } from '../picture.js';
import { bytesOf, decodeBytes, isFile } from '../read-picture.js';
import { resample } from '../resample/resample.js';
import { unreadableReason } from '../skipped.js';
import { SHARD_FORMAT, type ShardIndex } from './index-file.js';
import { NO_CLASS } from './samples.js';
import { END_MARK, entryBytes, extensionOf, SampleNames, TarWriter } from './tar-write.js';

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

/** An image file as it goes into a shard. */
interface Converted {
  bytes: Uint8Array;
  /** Whether these are the bytes of the source. */
  isUnchanged: boolean;
  /** Of its format, such as 'jpg'; null where that of its name is right. */
  extension: string | null;
}

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
    const archive = new TarWriter(file);
    await fillShard(archive, index, task);
    index.sha256 = await archive.end();
    index.bytes = archive.bytes;
  });
  if (index.names.length === 0) await rm(path);
  return index;
}

async function fillShard(archive: TarWriter, index: ShardIndex, task: ShardTask): Promise<void> {
  const { images, tell, signal } = task;
  const keys = new SampleNames();
  for await (const converted of convertedFrom(index.first, task)) {
    signal.throwIfAborted();
    const { name, place } = images.item(index.next);
    if (typeof converted === 'string') {
      index.skipped.push({ name: place === undefined ? name : shownName(place), reason: converted });
    } else {
      const { bytes, isUnchanged } = converted;
      if (isFull(archive, index, bytes.length, task)) return;
      const { key, extension } = keys.take(place ?? name, converted.extension);
      const label = 'classOf' in images ? images.classOf(index.next) : NO_CLASS;
      index.offsets.push(await archive.add(key + extension, bytes));
      index.sizes.push(bytes.length);
      index.names.push(isUnchanged && place !== undefined ? place : key + extension);
      index.classes.push(label);
      if (label !== NO_CLASS) await archive.add(`${key}.cls`, Buffer.from(String(label)));
    }
    index.next++;
    tell(index.next);
  }
}

/** Whether a shard has no room for an image of `more` bytes. One that is too large for any shard has one for itself. */
function isFull({ bytes }: TarWriter, { names }: ShardIndex, more: number, task: ShardTask): boolean {
  const { imagesPerShard, shardBytes } = task;
  const withClass = entryBytes(more) + entryBytes(1);
  const isTooLong = shardBytes !== null && bytes + withClass + END_MARK.length > shardBytes;
  return names.length > 0 && (names.length === imagesPerShard || isTooLong);
}

/** The images from number `first` on, several read at the same time; for one that cannot be read the reason. */
function convertedFrom(first: number, task: ShardTask): AsyncGenerator<Converted | string> {
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
 * @throws Error if the image cannot be read; its message is the reason, in one line
 */
async function convertImage(item: ImageItem, { resize, quality, pixelLimit }: ShardTask): Promise<Converted> {
  const bytes = await bytesOf(item);
  const picture = await decodeBytes(bytes, isFile(item), pixelLimit);
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
