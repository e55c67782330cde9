import { opendir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { count } from '../../base/console.js';
import { UserError } from '../../base/errors.js';
import { systemPath } from '../../base/file-names.js';
import { isImage, setAside } from '../listing/kinds.js';
import { expandBraces, inside, isAddress, namesShards, parseAddress } from './address.js';
import { shardsIn } from './folder.js';
import { type PackIndex, readIndexBeside, readPackIndex } from './index-file.js';
import { createNetwork } from './network.js';
import { partTold, type SortedShards, sortShards } from './parts.js';

/** Where the shards of a data set lie, by the part that they belong to. */
export interface FoundShards {
  train: string[];
  test: string[];
  /** The names of the classes, where an index tells them. */
  classes: readonly string[] | null;
  /** What was left out and why, for people. */
  notes: readonly string[];
}

/**
 * Finds shards: of a folder (of this machine or a server) by its index, or else the .tar files in a folder of this machine and
 * below it; or those that words name. Which part one belongs to is told by the index, or as `sortShards` says.
 * @throws UserError if there are none
 */
export async function findShards(word: string): Promise<FoundShards> {
  const network = createNetwork();
  if (namesShardFiles(word)) {
    const places = expandBraces(word);
    const index = await readIndexBeside(places[0] as string, network);
    return found(sortShards(places), index?.classes ?? null, []);
  }
  const index = await readPackIndex(word, network);
  if (index) {
    const { train, val } = index.splits;
    const placesOf = (split: PackIndex['splits']['val']) => split?.shards.map(({ name }) => inside(word, name)) ?? [];
    return { train: placesOf(train), test: placesOf(val), classes: index.classes, notes: [] };
  }
  if (isAddress(word)) {
    throw new UserError(`${word} has no index.json of shards`, {
      expected: 'a folder that `ijepa data pack` wrote, or the addresses of shards',
      remedy: `name the shards: '${inside(word, 'train-{000000..000146}.tar')}'`,
    });
  }
  const { places, notes } = await shardsIn(word);
  return found(sortShards(places, word), null, notes);
}

/** The parts that are used: of validation and test, the first that is there. */
function found(
  { train, val, test }: SortedShards,
  classes: FoundShards['classes'],
  notes: readonly string[],
): FoundShards {
  const isBoth = val.length > 0 && test.length > 0;
  const left = isBoth ? [`${count(test.length, 'shard')} for testing left out: there are some for validation`] : [];
  return { train, test: val.length > 0 ? val : test, classes, notes: [...notes, ...left] };
}

/** Whether what a user named as data are shards: by its name, or as a folder with an index of shards or nothing but shards. */
export async function areShards(word: string): Promise<boolean> {
  if (namesShards(word) && !(await isFolder(word))) return true;
  return (await readPackIndex(word, createNetwork())) !== null || (await contentOf(word)) === 'shards';
}

/** What a folder holds; looks no further when it has met an image, or a folder whose name tells no part. */
async function contentOf(folder: string, isPart = false): Promise<'shards' | 'nothing' | 'other'> {
  let content: 'shards' | 'nothing' = 'nothing';
  try {
    for await (const entry of await opendir(systemPath(folder))) {
      const isBelow = entry.isDirectory();
      if (isBelow ? setAside(entry.name) !== undefined : entry.name.startsWith('.')) continue;
      if (isBelow && (isPart || partTold(entry.name) === undefined)) return 'other';
      const found = isBelow ? await contentOf(join(folder, entry.name), true) : contentOfFile(entry.name);
      if (found === 'other') return 'other';
      if (found === 'shards' && !entry.isFIFO()) content = 'shards';
    }
  } catch {
    return 'other'; // whoever opens it says why
  }
  return content;
}

function contentOfFile(name: string): 'shards' | 'nothing' | 'other' {
  return isImage(name) ? 'other' : /\.tar$/i.test(name) ? 'shards' : 'nothing';
}

/**
 * The shards that a word names for training: all that it names, or those for training where the names tell several parts.
 * @throws UserError if there are none
 */
export async function trainingShards(word: string): Promise<{ places: readonly string[]; notes: readonly string[] }> {
  if (!namesShardFiles(word)) {
    const { train, notes } = await findShards(word);
    return { places: train, notes };
  }
  const all = expandBraces(word);
  const { train } = sortShards(all);
  if (train.length === 0 || train.length === all.length) return { places: all, notes: [] };
  const other = all.find((place) => !train.includes(place));
  const left = count(all.length - train.length, 'shard');
  return { places: train, notes: [`${left} left out: they are for validation or testing, such as ${other}`] };
}

function namesShardFiles(word: string): boolean {
  return isAddress(word) ? /\.tar$/i.test(parseAddress(word).pathname) : namesShards(word);
}

async function isFolder(word: string): Promise<boolean> {
  return stat(systemPath(word)).then(
    (found) => found.isDirectory(),
    () => false,
  );
}
