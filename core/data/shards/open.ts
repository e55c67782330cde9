import { count, createConsole, type TransferProgress } from '../../base/console.js';
import { UserError } from '../../base/errors.js';
import { shownName } from '../../base/file-names.js';
import { inOrder } from '../../base/pool.js';
import type { ServedFile } from '../../fetch/range.js';
import type { Persistence } from '../../fetch/request.js';
import { beside, isAddress, nameOf } from './address.js';
import { trainingShards } from './find.js';
import { type OpenShard, type ShardImages, shardImages } from './images.js';
import { type PackIndex, readIndexBeside, readShardIndex, shardIndexName } from './index-file.js';
import { createNetwork, type Network } from './network.js';
import { readSamples, shardSamples } from './samples.js';
import { type ByteSource, openFile, withOpenFile } from './source.js';

/** Shards that are opened at the same time. */
const CONCURRENCY = 8;
/** Work that is done sooner is not shown. */
const SHOWN_AFTER_SECONDS = 2;

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
 * @param places their paths and addresses
 * @param what what to call them all
 * @param persistence towards servers, other than usual
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
    const index = indices.get(folder) ?? readIndexBeside(place, network); // once for all shards of a folder
    indices.set(folder, index);
    return openShard(place, network, await index, progress.tell);
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

async function openShard(
  place: string,
  network: Network,
  index: PackIndex | null,
  tell: (shard: string, bytes: number) => void,
): Promise<OpenShard> {
  const { source, served } = await openSource(place, network);
  const name = nameOf(place);
  const known = shardsOf(index).find((shard) => shard.name === name);
  const columns = known ? await readShardIndex(beside(place, shardIndexName(name)), network) : null;
  if (!known || !columns) {
    const scan = (bytes: ByteSource) => readSamples(bytes, (done) => tell(place, done));
    return { source, served, ...(await (served ? scan(source) : withOpenFile(place, scan))) };
  }
  if (known.bytes === source.size && columns.bytes === source.size && columns.sha256 === known.sha256) {
    return { source, served, ...shardSamples(columns) };
  }
  throw new UserError(`${place} is not the shard that its index describes: it has ${source.size} bytes`, {
    expected: `${known.bytes} bytes, and ${shardIndexName(name)} of the same shard`,
    remedy: 'get the shard and its index anew, or remove index.json: shards are then read through for what they hold',
  });
}

/** The shards of all splits that an index names. */
export function shardsOf(index: PackIndex | null): PackIndex['splits']['train']['shards'] {
  return index ? [...index.splits.train.shards, ...(index.splits.val?.shards ?? [])] : [];
}

export async function openSource(
  place: string,
  network: Network,
): Promise<{ source: ByteSource; served: ServedFile | null }> {
  const served = isAddress(place) ? await network.find(place) : null;
  return { served, source: served ? network.source(served) : await openFile(place) };
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
