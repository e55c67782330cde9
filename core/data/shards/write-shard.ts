import { createHash } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { writeAtomically } from '../../atomic.js';
import { availableCores } from '../../engine/threads.js';
import type { ImageCollection, LabelledImages } from '../../plugin.js';
import { inOrder } from '../../pool.js';
import { unreadableReason } from '../skipped.js';
import { type Converted, type ConvertSettings, convertImage } from './convert.js';
import { newShardIndex, type ShardIndex } from './index-file.js';
import { NO_CLASS } from './samples.js';
import { END_MARK, entryBytes, SampleNames, tarEntry } from './tar-write.js';

export interface ShardTask extends ConvertSettings {
  images: ImageCollection | LabelledImages;
  /** When a shard is full; null for no limit. */
  imagesPerShard: number | null;
  shardBytes: number | null;
  /** Is told how many images of the data set are done. */
  tell: (done: number) => void;
  signal: AbortSignal;
}

/** An image in its turn: what goes into the shard, or why it cannot be read. */
type Prepared = { number: number } & (Converted | { reason: string });

/**
 * Writes a shard of the images from number `first` on, until it is full or there are no more: for each a file with the
 * image and, where it has a class, one with its number. Whole or not at all, and the same bytes every time.
 * @returns its index; that of a shard without images where none was left that can be read, and no file is there then
 */
export async function writeShard(path: string, first: number, task: ShardTask): Promise<ShardIndex> {
  const { images, tell, signal } = task;
  const classOf = 'classOf' in images ? images.classOf : null;
  const classes: number[] = [];
  const index = newShardIndex(first, classOf ? classes : null);
  const names = new SampleNames();
  const hash = createHash('sha256');
  await writeAtomically(path, async (file) => {
    const write = async (...pieces: Uint8Array[]) => {
      for (const bytes of pieces) {
        hash.update(bytes);
        await file.writeFile(bytes); // all of it, where the last one ended
        index.bytes += bytes.length;
      }
    };
    const addFile = async (name: string, content: Uint8Array) => {
      const { head, padding } = tarEntry(name, content);
      await write(head, content, padding);
      return index.bytes - padding.length - content.length;
    };
    for await (const prepared of preparedFrom(first, task)) {
      signal.throwIfAborted();
      const item = images.item(prepared.number);
      if ('reason' in prepared) index.skipped.push({ name: item.name, reason: prepared.reason });
      else {
        const { bytes, extension: format, isUnchanged } = prepared;
        if (isFull(index, bytes.length, task)) break;
        const { key, extension } = names.take(item.place ?? item.name, format);
        index.offsets.push(await addFile(key + extension, bytes));
        index.sizes.push(bytes.length);
        index.names.push(isUnchanged && item.place !== undefined ? item.place : key + extension);
        if (classOf) {
          const label = classOf(prepared.number);
          classes.push(label);
          if (label !== NO_CLASS) await addFile(`${key}.cls`, Buffer.from(String(label)));
        }
      }
      index.next = prepared.number + 1;
      tell(index.next);
    }
    await write(END_MARK);
  });
  if (index.names.length === 0) await rm(path);
  const isLabelled = classes.some((label) => label !== NO_CLASS);
  return { ...index, classes: isLabelled ? classes : null, sha256: hash.digest('hex') };
}

/** Whether a shard has no room for an image of so many bytes. One that is too large for any shard has one for itself. */
function isFull(
  { names, bytes, classes }: ShardIndex,
  more: number,
  { imagesPerShard, shardBytes }: ShardTask,
): boolean {
  if (names.length === 0) return false;
  const sample = entryBytes(more) + (classes ? entryBytes(1) : 0);
  return names.length === imagesPerShard || (shardBytes !== null && bytes + sample + END_MARK.length > shardBytes);
}

/** Reads the images from number `first` on, several at the same time. */
function preparedFrom(first: number, task: ShardTask): AsyncGenerator<Prepared> {
  const { images } = task;
  function* numbers(): Generator<number> {
    for (let number = first; number < images.length; number++) yield number;
  }
  const prepare = async (number: number): Promise<Prepared> => {
    try {
      return { number, ...(await convertImage(images.item(number), task)) };
    } catch (error) {
      return { number, reason: unreadableReason(error) };
    }
  };
  const atOnce = 2 * availableCores();
  return inOrder(numbers(), prepare, { atOnce, ahead: 2 * atOnce });
}
