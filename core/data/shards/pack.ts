import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isUnfinished, writeFileAtomically } from '../../base/atomic.js';
import type { TransferConsole } from '../../base/console.js';
import { explainSystemError, UserError } from '../../base/errors.js';
import { makeFolders } from '../../base/folders.js';
import { FileLock } from '../../base/lock.js';
import { PROGRAM } from '../../base/program.js';
import { readText } from '../../base/text.js';
import type { ImageCollection, LabelledImages } from '../../contract/data-sets.js';
import { listedLine } from '../skipped.js';
import {
  INDEX_FORMAT,
  INDEX_NAME,
  type PackIndex,
  parsePackIndex,
  parseShardIndex,
  type Recipe,
  type ShardIndex,
  shardIndexName,
} from './index-file.js';
import { hashOf } from './open.js';
import { openFile } from './source.js';
import { type ShardTask, writeShard } from './write-shard.js';

export interface PackTask extends Omit<ShardTask, 'images' | 'sources' | 'tell'> {
  /** Into which everything is written, and nothing outside it. */
  folder: string;
  train: ImageCollection | LabelledImages;
  val: LabelledImages | null;
  classes: readonly string[] | null;
  console: TransferConsole;
}

export type PackSummary = Awaited<ReturnType<typeof packShards>>;

/** While it is there, the folder is not finished. */
const RECIPE_NAME = `.${PROGRAM}-pack.json`;
const LOCK_NAME = `.${PROGRAM}-pack.lock`;
const SKIPPED_NAME = 'skipped.txt';
/** Images come in their order: where they have to be fetched, one request brings many. */
const READING = { neighbours: 64, together: 64, bytes: 256e6 };

/**
 * Writes the images of a data set as shards with an index and checksums. The same images and settings give the same files.
 * Shards that an earlier call has written whole are kept.
 * @returns what was packed; of each split also how many of its shards were kept
 * @throws UserError if the folder holds something else, the disk is full, or no image of a split can be read
 * @throws the signal's reason when it aborts; whole shards stay
 */
export async function packShards(task: PackTask) {
  const { folder, train, val, resize, quality, imagesPerShard, shardBytes } = task;
  const source = { train: train.fingerprint, val: val?.fingerprint ?? null };
  const recipe = { source, resize, quality: resize === null ? null : quality, imagesPerShard, shardBytes };
  const lock = new FileLock(join(folder, LOCK_NAME), { thing: `the folder ${folder}`, doing: 'packing into it' });
  try {
    await makeFolders(folder);
    await requireFree(folder, recipe);
    await lock.acquire();
    await beginFolder(folder, recipe);
    return await packLocked(task, recipe);
  } catch (error) {
    throw explainSystemError(error, folder);
  } finally {
    await lock.release();
  }
}

async function packLocked(task: PackTask, recipe: Recipe) {
  const { folder, train, val, classes } = task;
  const packed = { train: await packSplit('train', train, task), val: val ? await packSplit('val', val, task) : null };
  const index: PackIndex = {
    format: INDEX_FORMAT,
    classes: classes === null ? null : [...classes],
    splits: { train: packed.train.split, val: packed.val?.split ?? null },
    recipe,
  };
  const skipped = [...packed.train.skipped, ...(packed.val?.skipped ?? [])];
  const lines = skipped.map(({ name, reason }) => `${listedLine(name, reason)}\n`);
  if (lines.length > 0) await writeFileAtomically(join(folder, SKIPPED_NAME), lines.join(''));
  await writeFileAtomically(join(folder, INDEX_NAME), `${JSON.stringify(index, null, 1)}\n`);
  await rm(join(folder, RECIPE_NAME), { force: true });
  const splits = { train: packed.train.summary, val: packed.val?.summary ?? null };
  return { folder, classes: classes?.length ?? null, splits, skipped };
}

/**
 * The names in a folder that is empty, or holds what an earlier call with the same images and settings left.
 * @throws UserError if it is another one
 */
async function requireFree(folder: string, recipe: Recipe): Promise<string[]> {
  const isOwn = (name: string) => isUnfinished(name, RECIPE_NAME) || name.startsWith(LOCK_NAME);
  const names = (await readdir(folder)).filter((name) => !isOwn(name));
  if (names.length === 0 || (await recipeIn(folder, names)) === JSON.stringify(recipe)) return names;
  throw new UserError(`${folder} is not empty, and does not hold shards of these images made in this way`, {
    expected: 'a new or empty folder, or one in which the same command was stopped',
    remedy: 'choose another --out, or empty the folder yourself',
  });
}

/** Says in the folder what it is for, and removes what an earlier call did not finish. */
async function beginFolder(folder: string, recipe: Recipe): Promise<void> {
  const names = await requireFree(folder, recipe); // another process may have finished meanwhile, or begun something else
  for (const name of await readdir(folder)) {
    if (isUnfinished(name) && !name.startsWith(LOCK_NAME)) await rm(join(folder, name), { force: true });
  }
  if (!names.includes(INDEX_NAME)) await writeFileAtomically(join(folder, RECIPE_NAME), JSON.stringify(recipe));
}

async function recipeIn(folder: string, names: readonly string[]): Promise<string | null> {
  if (names.includes(RECIPE_NAME)) return readText(join(folder, RECIPE_NAME));
  const path = join(folder, INDEX_NAME);
  const index = names.includes(INDEX_NAME) ? parsePackIndex(await readText(path), path) : null;
  return index && JSON.stringify(index.recipe);
}

async function packSplit(name: 'train' | 'val', images: ImageCollection | LabelledImages, task: PackTask) {
  const { folder, console, signal } = task;
  const sources = images.forReading?.({ ...READING, signal }) ?? images;
  const split: PackIndex['splits']['train'] = { images: 0, shards: [] };
  const skipped: ShardIndex['skipped'] = [];
  let kept = 0;
  const progress = console.transfer(`packing ${name}`, 'images');
  try {
    for (let first = 0; first < images.length; ) {
      const shard = `${name}-${String(split.shards.length).padStart(6, '0')}.tar`;
      const tell = (done: number) => progress.update(done, images.length);
      const path = join(folder, shard);
      const found = await keptShard(path, first, signal);
      const index = found ?? (await writeShard(path, first, { ...task, images, sources, tell }));
      if (found) kept++;
      tell(index.next);
      skipped.push(...index.skipped);
      first = index.next;
      if (index.names.length === 0) break; // none of the rest can be read
      if (!found) await writeFileAtomically(shardIndexName(path), `${JSON.stringify(index)}\n`);
      const { bytes, sha256 } = index;
      split.shards.push({ name: shard, bytes, sha256, images: index.names.length });
      split.images += index.names.length;
    }
  } finally {
    progress.stop();
  }
  if (split.images === 0) {
    const [example] = skipped;
    throw new UserError(`none of the images of ${images.description} can be read, such as ${example?.name}`, {
      expected: `images that can be read (${example?.reason})`,
    });
  }
  const bytes = split.shards.reduce((sum, shard) => sum + shard.bytes, 0);
  return { split, summary: { images: split.images, shards: split.shards.length, bytes, kept }, skipped };
}

/** The index of a shard that is there whole, with its checksum; null where there is none, or it has to be written anew. */
async function keptShard(path: string, first: number, signal: AbortSignal): Promise<ShardIndex | null> {
  try {
    const place = shardIndexName(path);
    const index = parseShardIndex(await readText(place), place);
    const source = await openFile(path);
    if (index.first !== first || source.size !== index.bytes) return null;
    return (await hashOf(source, () => {}, signal)) === index.sha256 ? index : null;
  } catch {
    signal.throwIfAborted();
    return null;
  }
}
