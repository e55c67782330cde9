import { createHash } from 'node:crypto';
import { count, createConsole, type TransferProgress } from '../../base/console.js';
import { UserError } from '../../base/errors.js';
import { shownName } from '../../base/file-names.js';
import { inOrder } from '../../base/pool.js';
import type { Persistence } from '../../fetch/request.js';
import { beside, inside, isAddress, nameOf } from './address.js';
import { trainingShards } from './find.js';
import { type OpenShard, type ShardImages, shardImages } from './images.js';
import { type PackIndex, parseShardIndex, readIndex, readPackIndex, shardIndexName } from './index-file.js';
import { readSamples, shardSamples } from './samples.js';
import { type ByteSource, createNetwork, type Network, withOpenFile } from './source.js';

const CONCURRENCY = 8;
/** Work that is done sooner is not shown. */
const SHOWN_AFTER_SECONDS = 2;
const CHUNK_BYTES = 4 << 20;

/**
 * Opens what a user named for training: shards as they are named, and the training shards of folders.
 * @throws UserError if there are none, or as `openShards` does
 */
export async function openTrainingShards(words: readonly string[]): Promise<ShardImages> {
  const found = [];
  for (const word of words) found.push(await trainingShards(word));
  const places = found.flatMap((some) => some.places);
  const notes = found.flatMap((some) => some.notes);
  return openShards(places, words.map(shownName).join(', '), {}, notes);
}

/**
 * The images of shards, in the order of the shards.
 * @param notes what is already known to be left out
 * @throws UserError if one cannot be had, is damaged or is not that of its index, or there is no image
 */
export async function openShards(
  places: readonly string[],
  what: string,
  persistence?: Persistence,
  notes: readonly string[] = [],
): Promise<ShardImages> {
  const network = createNetwork(persistence);
  const progress = lateProgress(places.length);
  const indices = new Map<string, Promise<PackIndex | null>>();
  const shards: OpenShard[] = [];
  const open = async (place: string) => {
    const folder = beside(place, '');
    const index = indices.get(folder) ?? readPackIndex(folder, network); // once for all shards of a folder
    indices.set(folder, index);
    return openShard(place, network, await index, (bytes) => progress.tell(place, bytes));
  };
  try {
    const limits = { concurrency: CONCURRENCY, ahead: places.length };
    for await (const shard of inOrder(places, open, limits)) shards.push(shard);
  } finally {
    progress.stop();
  }
  const images = shardImages(shards, what, network, notes);
  if (images.length > 0) return images;
  throw new UserError([`no images in ${what}`, ...(images.notes ?? [])].join('\n    '), {
    expected: 'samples with an image: files that end in .jpg, .png, .webp, ...',
    remedy: 'name other shards, or look into these with: tar tf',
  });
}

async function openShard(place: string, network: Network, index: PackIndex | null, tell: (bytes: number) => void) {
  const source = await network.open(place);
  const name = nameOf(place);
  const known = shardsOf(index).find((shard) => shard.name === name);
  const columns = known && (await readIndex(beside(place, shardIndexName(name)), network, parseShardIndex));
  if (!columns) {
    const scan = (bytes: ByteSource) => readSamples(bytes, tell);
    return { source, ...(await (isAddress(place) ? scan(source) : withOpenFile(place, scan))) };
  }
  if (known.bytes === source.size && columns.bytes === source.size && columns.sha256 === known.sha256) {
    return { source, ...shardSamples(columns) };
  }
  throw new UserError(`${place} is not the shard that its index describes: it has ${source.size} bytes`, {
    expected: `${known.bytes} bytes, and ${shardIndexName(name)} of the same shard`,
    remedy: 'get the shard and its index anew, or remove index.json: shards are then read through for what they hold',
  });
}

function shardsOf(index: PackIndex | null) {
  return index ? [...index.splits.train.shards, ...(index.splits.val?.shards ?? [])] : [];
}

/** Progress of reading headers, shown once it takes long. */
function lateProgress(shards: number): { tell: (shard: string, bytes: number) => void; stop: () => void } {
  const begun = performance.now();
  const bytesOf = new Map<string, number>();
  let total = 0;
  let shown: TransferProgress | undefined;
  return {
    tell(shard, bytes) {
      total += bytes - (bytesOf.get(shard) ?? 0);
      bytesOf.set(shard, bytes);
      if (performance.now() - begun < SHOWN_AFTER_SECONDS * 1000) return;
      shown ??= createConsole(true).transfer(`reading the headers of ${count(shards, 'shard')}`, 'bytes');
      shown.update(total, null);
    },
    stop: () => shown?.stop(),
  };
}

/**
 * Holds the shards of a folder that `data pack` wrote against the checksums of its index.
 * @param tell is told how many bytes are read, and how many there are
 * @returns what is wrong, one line for each shard; null where the folder has no index with checksums
 */
export async function checkShards(
  folder: string,
  tell: (done: number, total: number) => void,
  signal: AbortSignal,
): Promise<string[] | null> {
  const network = createNetwork().during(signal);
  const index = await readPackIndex(folder, network);
  if (!index) return null;
  const shards = shardsOf(index);
  const total = shards.reduce((sum, { bytes }) => sum + bytes, 0);
  const problems: string[] = [];
  let before = 0;
  for (const { name, bytes, sha256 } of shards) {
    const source = await network.open(inside(folder, name)).catch((error: unknown) => {
      signal.throwIfAborted();
      if (!(error instanceof UserError)) throw error;
      return error;
    });
    if (source instanceof UserError) problems.push(`${name}: ${source.message}`);
    else if (source.size !== bytes) problems.push(`${name}: it has ${source.size} bytes, not ${bytes}`);
    else {
      const hex = await hashOf(source, (done) => tell(before + done, total), signal);
      if (hex !== sha256) problems.push(`${name}: its SHA-256 is ${hex}, not ${sha256}`);
    }
    before += bytes;
  }
  return problems;
}

/** SHA-256 of all bytes, in hexadecimal digits. */
export async function hashOf(source: ByteSource, tell: (bytes: number) => void, signal: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  for (let at = 0; at < source.size; at += CHUNK_BYTES) {
    signal.throwIfAborted();
    const length = Math.min(CHUNK_BYTES, source.size - at);
    hash.update(await source.read(at, length));
    tell(at + length);
  }
  return hash.digest('hex');
}
