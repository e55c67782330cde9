import { shownName } from '../../base/file-names.js';
import type { LabelledImages, ReadingPlan } from '../../contract/data-sets.js';
import { Chain, createFingerprint } from '../listing/columns.js';
import { LeftOut } from '../listing/kinds.js';
import { classText, NO_CLASS, type ShardSamples } from './samples.js';
import type { ByteSource, Network } from './source.js';
import { readPieces } from './tar-read.js';

export type OpenShard = ShardSamples & { source: ByteSource };

/** Images of which each may have a class that is told as text: its number is then below -1. */
export interface ShardImages extends LabelledImages {
  /** The text of the class of image number `index`; undefined where it is a number, or there is none. */
  textOf(index: number): string | undefined;
  /** Whether any of them has one. */
  readonly hasTexts: boolean;
}

/** The images of shards, one after the other, each read when it is asked for. The class of one that has none is -1. */
export function shardImages(
  shards: readonly OpenShard[],
  description: string,
  network: Network,
  notes: readonly string[],
): ShardImages {
  const chain = new Chain<OpenShard>();
  const fingerprint = createFingerprint();
  const leftOut = new LeftOut();
  for (const shard of shards) {
    chain.add(shard);
    for (const [at, size] of shard.sizes.entries()) fingerprint.add(shard.names.at(at), size);
    leftOut.addAll(shard.leftOut, shard.source.name);
  }
  const value = fingerprint.value();
  const classOf = (index: number) => {
    const { list: shard, at } = chain.find(index);
    return shard.classes[at];
  };
  const imagesBy = (read: (index: number) => Promise<Buffer>): ShardImages => ({
    description,
    length: chain.length,
    fingerprint: value,
    notes: [...notes, ...leftOut.notes],
    textOf: (index) => classText(chain.find(index).list, classOf(index)),
    hasTexts: shards.some(({ texts }) => texts.length > 0),
    classOf,
    item(index) {
      const { list: shard, at } = chain.find(index);
      const [name, label] = [shard.names.at(at), shard.classes[at]];
      return {
        name: shownName(`${shard.source.name}/${name}`),
        place: name,
        source: () => read(index),
        ...(label > NO_CLASS && { labels: { class: label } }),
      };
    },
  });
  const forReading = (plan: ReadingPlan): ShardImages => {
    const way = network.during(plan.signal);
    return imagesBy(imageReader(chain, ({ source }) => source.by?.(way) ?? source, plan));
  };
  return { ...imagesBy(imageReader(chain, ({ source }) => source, null)), forReading };
}

/**
 * Reads images: by whole chunks of neighbours, one request each, of which those that were used last are kept, where neighbours
 * are wanted together and the memory holds them; or else each by itself.
 */
function imageReader(chain: Chain<OpenShard>, sourceOf: (shard: OpenShard) => ByteSource, plan: ReadingPlan | null) {
  const { neighbours, together, bytes } = plan ?? { neighbours: 1, together: 0, bytes: 0 };
  // While some chunks are used up, the next ones are being fetched.
  const isByChunks = neighbours >= 2 && 2 * together * meanBytes(chain) <= bytes;
  const chunks = new RecentlyUsed<Promise<Buffer>>(bytes);
  return async (index: number) => {
    const { list: shard, at, first, end } = chain.find(index);
    const [size, offset] = [shard.sizes[at], shard.offsets[at]];
    const apart = shard.apart.get(at);
    if (apart) return readPieces(sourceOf(shard), size, apart.pieces);
    if (!isByChunks) return sourceOf(shard).read(offset, size);
    const chunk = index - (index % neighbours);
    const from = Math.max(first, chunk);
    const last = Math.min(end, chunk + neighbours) - 1 - first;
    const start = shard.offsets[from - first];
    const length = shard.offsets[last] + (shard.apart.get(last)?.stored ?? shard.sizes[last]) - start;
    const content = await chunks.get(from, length, () => sourceOf(shard).read(start, length));
    return content.subarray(offset - start, offset - start + size);
  };
}

function meanBytes(chain: Chain<OpenShard>): number {
  const totals = chain.lists.map(({ sizes }) => sizes.reduce((sum, size) => sum + size, 0));
  return totals.reduce((sum, total) => sum + total, 0) / chain.length;
}

/** Keeps what was asked for last, up to a number of bytes. */
export class RecentlyUsed<T> {
  /** The first one is that which was not used for the longest time. */
  readonly #entries = new Map<number, { value: T; bytes: number }>();
  #bytes = 0;

  constructor(private readonly maxBytes: number) {}

  /** What is kept under a key, or is made and kept from now on; never fewer than one. */
  get(key: number, bytes: number, make: () => T): T {
    const entry = this.#entries.get(key) ?? { value: make(), bytes };
    if (this.#entries.delete(key)) this.#bytes -= bytes;
    this.#entries.set(key, entry);
    this.#bytes += bytes;
    for (const [oldest, old] of this.#entries) {
      if (this.#bytes <= this.maxBytes || oldest === key) break;
      this.#entries.delete(oldest);
      this.#bytes -= old.bytes;
    }
    return entry.value;
  }
}
