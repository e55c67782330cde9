import type { ReadingPlan } from '../../plugin.js';
import type { OpenShard, ReadImage, ShardRows } from './images.js';
import type { ByteSource } from './source.js';
import { readPieces } from './tar-files.js';

/**
 * Reads images by whole chunks of neighbours, one request each, and keeps the chunks that were used last.
 * @returns null where neighbours are not wanted together, or the memory does not hold those that are: each image is then
 * better asked for alone
 */
export function chunkReader(
  rows: ShardRows,
  sourceOf: (shard: OpenShard) => ByteSource,
  { neighbours, together, bytes }: ReadingPlan,
): ReadImage | null {
  // While one part is used up, the next one is being fetched.
  if (neighbours < 2 || 2 * together * rows.meanBytes > bytes) return null;
  const kept = new RecentlyUsed<Promise<Buffer>>(bytes);
  return async (index) => {
    const { shard, first, end, offset, size, apart } = rows.at(index);
    if (apart) return readPieces(sourceOf(shard), size, apart.pieces);
    const chunk = Math.floor(index / neighbours) * neighbours;
    const from = rows.at(Math.max(first, chunk));
    const last = rows.at(Math.min(end, chunk + neighbours) - 1);
    const length = last.offset + last.stored - from.offset;
    const key = Math.max(first, chunk);
    const content = await kept.get(key, length, () => sourceOf(shard).read(from.offset, length));
    return content.subarray(offset - from.offset, offset - from.offset + size);
  };
}

/** Keeps what was asked for last, up to a number of bytes. */
export class RecentlyUsed<T> {
  /** The first one is that which was not used for the longest time. */
  readonly #entries = new Map<number, { value: T; bytes: number }>();
  #bytes = 0;

  constructor(private readonly mostBytes: number) {}

  /** What is kept under a key, or is made and kept from now on; never fewer than one. */
  get(key: number, bytes: number, make: () => T): T {
    const entry = this.#entries.get(key) ?? { value: make(), bytes };
    if (this.#entries.delete(key)) this.#bytes -= bytes;
    this.#entries.set(key, entry);
    this.#bytes += bytes;
    for (const [oldest, old] of this.#entries) {
      if (this.#bytes <= this.mostBytes || oldest === key) break;
      this.#entries.delete(oldest);
      this.#bytes -= old.bytes;
    }
    return entry.value;
  }
}
