import { shownName } from '../../base/file-names.js';
import type { ServedFile } from '../../fetch/range.js';
import type { LabelledImages, ReadingPlan } from '../../plugin.js';
import { createFingerprint } from '../fingerprint.js';
import { LeftOut } from '../listing/left-out.js';
import { chunkReader } from './chunks.js';
import type { Network } from './network.js';
import { type Apart, classText, NO_CLASS, type ShardSamples } from './samples.js';
import type { ByteSource } from './source.js';
import { readPieces } from './tar-files.js';

/** A shard whose samples are known. */
export interface OpenShard {
  source: ByteSource;
  /** Null for a file of this machine. */
  served: ServedFile | null;
  samples: ShardSamples;
}

/** The bytes of image number `index`. */
export type ReadImage = (index: number) => Promise<Buffer>;

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
  const rows = new ShardRows(shards);
  const fingerprint = createFingerprint();
  for (const { samples } of shards) {
    for (let row = 0; row < samples.length; row++) fingerprint.add(samples.nameOf(row), samples.sizes[row] as number);
  }
  const textOf = (index: number) => {
    const { shard, label } = rows.at(index);
    return classText(shard.samples, label);
  };
  const hasTexts = shards.some(({ samples }) => samples.texts.length > 0);
  const facts = {
    description,
    length: rows.length,
    fingerprint: fingerprint.value(),
    notes: [...notes, ...notesOf(shards)],
    textOf,
    hasTexts,
  };
  const classOf = (index: number) => rows.at(index).label;
  const imagesBy = (read: ReadImage): ShardImages => ({
    ...facts,
    classOf,
    item(index) {
      const { shard, name, label } = rows.at(index);
      return {
        name: shownName(`${shard.source.name}/${name}`),
        place: name,
        source: () => read(index),
        ...(label > NO_CLASS && { labels: { class: label } }),
      };
    },
  });
  const readWith = (sourceOf: (shard: OpenShard) => ByteSource): ReadImage => {
    return async (index) => {
      const { shard, offset, size, apart } = rows.at(index);
      return apart ? readPieces(sourceOf(shard), size, apart.pieces) : sourceOf(shard).read(offset, size);
    };
  };
  const forReading = (plan: ReadingPlan): ShardImages => {
    const way = network.during(plan.signal);
    const sources = new Map(shards.map((shard) => [shard, shard.served ? way.source(shard.served) : shard.source]));
    const sourceOf = (shard: OpenShard) => sources.get(shard) ?? shard.source;
    return imagesBy(chunkReader(rows, sourceOf, plan) ?? readWith(sourceOf));
  };
  return { ...imagesBy(readWith(({ source }) => source)), forReading };
}

/** What was left out of the shards. */
function notesOf(shards: readonly OpenShard[]): string[] {
  const leftOut = new LeftOut();
  for (const { source, samples } of shards) {
    for (const { noun, reason, example, count } of samples.leftOut) {
      leftOut.add(noun, reason, `${source.name}/${example}`, count);
    }
  }
  return leftOut.notes;
}

/** A row of a table of samples, and the shard in which it lies. */
export interface ShardRow {
  shard: OpenShard;
  /** Number of the shard's first image, and of the one after its last. */
  first: number;
  end: number;
  name: string;
  offset: number;
  size: number;
  /** Bytes that lie at the offset: as many as its size, but for content that lies elsewhere. */
  stored: number;
  apart: Apart | undefined;
  label: number;
}

/** All samples of all shards, by the number of the image. */
export class ShardRows {
  /** The number of the image after the last one of each shard. */
  readonly #ends: readonly number[];

  constructor(private readonly shards: readonly OpenShard[]) {
    let end = 0;
    this.#ends = shards.map(({ samples }) => {
      end += samples.length;
      return end;
    });
  }

  get length(): number {
    return this.#ends.at(-1) ?? 0;
  }

  /** Mean bytes of an image. */
  get meanBytes(): number {
    let bytes = 0;
    for (const { samples } of this.shards) for (const size of samples.sizes) bytes += size;
    return bytes / this.length;
  }

  at(index: number): ShardRow {
    if (!(index >= 0 && index < this.length)) throw new Error(`there is no image ${index} of ${this.length}`);
    let low = 0;
    for (let high = this.#ends.length - 1; low < high; ) {
      const middle = (low + high) >> 1;
      if (index < (this.#ends[middle] as number)) high = middle;
      else low = middle + 1;
    }
    const shard = this.shards[low] as OpenShard;
    const first = low === 0 ? 0 : (this.#ends[low - 1] as number);
    const { samples } = shard;
    const row = index - first;
    const apart = samples.apart.get(row);
    const size = samples.sizes[row] as number;
    return {
      shard,
      first,
      end: this.#ends[low] as number,
      name: samples.nameOf(row),
      offset: samples.offsets[row] as number,
      size,
      stored: apart?.stored ?? size,
      apart,
      label: samples.classes[row] as number,
    };
  }
}
