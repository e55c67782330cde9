import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import sharp from 'sharp';
import { runDataPack } from '../../commands/data-run.js';
import { PACK_OPTIONS } from '../../commands/options/others.js';
import { validateFlags, withDefaults } from '../../core/config/resolve.js';
import { loadBatches } from '../../core/data/loader.js';
import { type PackTask, packShards } from '../../core/data/shards/pack.js';
import type { ByteSource } from '../../core/data/shards/source.js';
import type { UnreadableImages } from '../../core/data/skipped.js';
import { changedFile } from '../../core/fetch/range.js';
import type { DataSet, ImageCollection } from '../../core/plugin.js';

/** `ijepa data pack DATA...` with some options, as if they stood on the command line. */
export async function packData(
  data: readonly string[],
  options: object,
  dataSets: readonly DataSet[],
): Promise<number> {
  return runDataPack(withDefaults(PACK_OPTIONS, validateFlags({ data, ...options }, PACK_OPTIONS)), dataSets);
}

/** A picture file of noise, another one for each number: JPEG or PNG as the name says. */
export async function pictureOf(name: string, number: number): Promise<Buffer> {
  const [width, height] = [30 + (number % 7), 24 + (number % 5)];
  const pixels = Buffer.alloc(width * height * 3);
  for (let at = 0; at < pixels.length; at++) pixels[at] = (at * (2 * number + 3) + number * 29) % 256;
  const image = sharp(pixels, { raw: { width, height, channels: 3 } });
  return name.endsWith('.png') ? image.png().toBuffer() : image.jpeg().toBuffer();
}

/** Writes files, making their folders. */
export async function writeFiles(folder: string, files: Readonly<Record<string, string | Uint8Array>>): Promise<void> {
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), content);
  }
}

/** A folder of pictures in folders, some of them PNG. */
export async function writePictures(folder: string, count: number): Promise<void> {
  for (let number = 0; number < count; number++) {
    const name = `${'abc'[number % 3]}/${String(number).padStart(4, '0')}.${number % 4 === 0 ? 'png' : 'jpg'}`;
    await writeFiles(folder, { [name]: await pictureOf(name, number) });
  }
}

/** Packs images as they are, so many a shard. */
export async function pack(train: ImageCollection, folder: string, changes: Partial<PackTask> = {}) {
  return packShards({
    folder,
    train,
    val: null,
    classes: null,
    resize: null,
    quality: 90,
    imagesPerShard: 10,
    shardBytes: null,
    pixelLimit: 1e6,
    console: { line() {}, transfer: () => ({ update() {}, stop() {} }) },
    signal: new AbortController().signal,
    ...changes,
  });
}

/** The names and checksums of all files of a folder. */
export async function contentOf(folder: string): Promise<Record<string, string>> {
  const names = (await readdir(folder)).sort();
  const hash = async (name: string) =>
    createHash('sha256')
      .update(await readFile(join(folder, name)))
      .digest('hex');
  return Object.fromEntries(await Promise.all(names.map(async (name) => [name, await hash(name)] as const)));
}

interface BatchOptions {
  shuffleBuffer?: number | null;
  batchSize?: number;
  aheadBytes?: number;
  unreadable?: UnreadableImages;
  signal?: AbortSignal;
  /** Batches after which the others are not asked for. */
  most?: number;
}

/** The checksums of batches, with crops and flips drawn by a seed. */
export async function batchesOf(
  images: ImageCollection,
  from: number,
  to: number,
  {
    shuffleBuffer = null,
    batchSize = 6,
    aheadBytes = 1e7,
    unreadable = { add() {} },
    signal,
    most = 1e9,
  }: BatchOptions = {},
): Promise<string[]> {
  const crops = { imageSize: 8, cropScale: [0.3, 1], cropAspect: [0.75, 1.33], flip: 0.5, jitter: 0, blur: 0 } as const;
  const settings = {
    ...crops,
    pixelLimit: 1e6,
    seed: 5,
    batchSize,
    shuffleBuffer,
    aheadBytes,
    ...(signal && { signal }),
  };
  const batches: string[] = [];
  for await (const { image } of loadBatches(images, settings, unreadable, from, to)) {
    batches.push(
      createHash('sha256')
        .update(new Uint8Array((image as Float32Array).buffer))
        .digest('hex'),
    );
    if (batches.length === most) break;
  }
  return batches;
}

/** Bytes in memory, read as those of a file. */
export function bufferSource(name: string, bytes: Buffer): ByteSource {
  return {
    name,
    size: bytes.length,
    window: 8 << 10,
    read: async (offset, length) => {
      if (offset + length > bytes.length) throw changedFile(name, `it ends at byte ${bytes.length}`);
      return bytes.subarray(offset, offset + length);
    },
  };
}
