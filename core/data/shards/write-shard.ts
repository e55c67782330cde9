import { rm } from 'node:fs/promises';
import { writeAtomically } from '../../base/atomic.js';
import { shownName } from '../../base/file-names.js';
import { inOrder } from '../../base/pool.js';
import type { ImageCollection, LabelledImages } from '../../contract/data-sets.js';
import { availableCores } from '../../engine/threads.js';
import { unreadableReason } from '../skipped.js';
import { type Converted, type ConvertSettings, convertImage } from './convert.js';
import { SHARD_FORMAT, type ShardIndex } from './index-file.js';
import { NO_CLASS } from './samples.js';
import { END_MARK, entryBytes, SampleNames, TarWriter } from './tar-write.js';

export interface ShardTask extends ConvertSettings {
  images: ImageCollection | LabelledImages;
  /** The same images, as they are read. */
  sources: ImageCollection;
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
  for await (const prepared of preparedFrom(index.first, task)) {
    signal.throwIfAborted();
    const { number } = prepared;
    const { name, place } = images.item(number);
    if ('reason' in prepared) {
      index.skipped.push({ name: place === undefined ? name : shownName(place), reason: prepared.reason });
    } else {
      const { bytes, isUnchanged } = prepared;
      if (isFull(archive.bytes, index, bytes.length, task)) return;
      const { key, extension } = keys.take(place ?? name, prepared.extension);
      const label = 'classOf' in images ? images.classOf(number) : NO_CLASS;
      index.offsets.push(await archive.add(key + extension, bytes));
      index.sizes.push(bytes.length);
      index.names.push(isUnchanged && place !== undefined ? place : key + extension);
      index.classes.push(label);
      if (label !== NO_CLASS) await archive.add(`${key}.cls`, Buffer.from(String(label)));
    }
    index.next = number + 1;
    tell(index.next);
  }
}

/** Whether a shard has no room for an image of `more` bytes. One that is too large for any shard has one for itself. */
function isFull(
  bytes: number,
  { names }: ShardIndex,
  more: number,
  { imagesPerShard, shardBytes }: ShardTask,
): boolean {
  const withClass = entryBytes(more) + entryBytes(1);
  const isTooLong = shardBytes !== null && bytes + withClass + END_MARK.length > shardBytes;
  return names.length > 0 && (names.length === imagesPerShard || isTooLong);
}

/** Reads the images from number `first` on, several at the same time. */
function preparedFrom(first: number, task: ShardTask): AsyncGenerator<Prepared> {
  const { sources } = task;
  function* numbers(): Generator<number> {
    for (let number = first; number < sources.length; number++) yield number;
  }
  const prepare = async (number: number): Promise<Prepared> =>
    convertImage(sources.item(number), task).then(
      (converted) => ({ number, ...converted }),
      (error: unknown) => ({ number, reason: unreadableReason(error) }),
    );
  const concurrency = 2 * availableCores();
  return inOrder(numbers(), prepare, { concurrency, ahead: 2 * concurrency });
}
