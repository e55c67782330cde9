import { opendir, realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { count } from '../../base/console.js';
import { explainSystemError, isMissing, isSystemError, UserError } from '../../base/errors.js';
import { shownName, systemPath } from '../../base/file-names.js';
import { isImage, LeftOut, setAside } from '../listing/kinds.js';
import { lookInto } from '../listing/scan.js';
import { beside, expandBraces, inside, isAddress, nameOf, namesShards, pathOf } from './address.js';
import { readPackIndex } from './index-file.js';
import { createNetwork } from './source.js';

type SortedShards = Record<'train' | 'val' | 'test', string[]>;

/** The words that tell a split; of several, the first of these counts. */
const SPLIT_WORDS: readonly [split: keyof SortedShards, words: readonly string[]][] = [
  ['val', ['val', 'valid', 'validation']],
  ['test', ['test', 'testing']],
  ['train', ['train', 'training']],
];
/** How far below a folder shards are looked for. */
const MAX_LEVELS = 2;
const IS_SHARD = /\.tar$/i;

/** What a file beside shards is called that may be missed, and why it is not taken; undefined for others. */
function missedBesideShards(name: string) {
  if (isImage(name)) return { noun: 'picture', reason: 'shards are taken here, and no pictures beside them' };
  const isPacked = /\.(?:tar\.\w+|tgz)$/i.test(name);
  return isPacked ? { noun: 'packed shard', reason: 'nothing can be read out of its middle (unpack it)' } : undefined;
}

/**
 * Finds shards: of a folder (of this machine or a server) by its index, or else the .tar files in a folder of this machine and
 * below it; or those that words name. Which split one belongs to is told by the index, or as `sortShards` says.
 * @returns where they lie; `classes`: their names, where an index tells them; `notes`: what was left out and why, for people
 * @throws UserError if there are none
 */
export async function findShards(word: string) {
  const network = createNetwork();
  if (namesShardFiles(word)) {
    const places = expandBraces(word);
    const index = await readPackIndex(beside(places[0], ''), network);
    return found(sortShards(places), index?.classes ?? null, []);
  }
  const index = await readPackIndex(word, network);
  if (index) {
    const [train = [], test = []] = [index.splits.train, index.splits.val].map((split) =>
      split?.shards.map(({ name }) => inside(word, name)),
    );
    return { train, test, classes: index.classes, notes: [] as string[] };
  }
  if (isAddress(word)) {
    throw new UserError(`${word} has no index.json of shards`, {
      expected: 'a folder that `data pack` wrote, or the addresses of shards',
      remedy: `name the shards: '${inside(word, 'train-{000000..000146}.tar')}'`,
    });
  }
  const { places, notes } = await shardsIn(word);
  return found(sortShards(places, word), null, notes);
}

/** The splits that are used: of validation and test, the first that is there. */
function found({ train, val, test }: SortedShards, classes: string[] | null, notes: string[]) {
  const isBoth = val.length > 0 && test.length > 0;
  const left = isBoth ? [`${count(test.length, 'shard')} for testing left out: there are some for validation`] : [];
  return { train, test: val.length > 0 ? val : test, classes, notes: [...notes, ...left] };
}

/**
 * The shards that a word names for training: all that it names, or those for training where the names tell several splits.
 * @throws UserError if there are none
 */
export async function trainingShards(word: string): Promise<{ places: string[]; notes: string[] }> {
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
  return isAddress(word) ? IS_SHARD.test(pathOf(word)) : namesShards(word);
}

/** The split that a name tells by one of its words; undefined where it tells none. */
function splitTold(name: string): keyof SortedShards | undefined {
  const words = name.toLowerCase().split(/[^a-z]+/);
  return SPLIT_WORDS.find(([, told]) => told.some((word) => words.includes(word)))?.[0];
}

/**
 * Sorts shards by their split: the nearest folder whose name tells one counts, then the name of the file; those of no split
 * are for training. Folders in which all of them lie tell nothing.
 * @param folder in which they were found; without it, the deepest one in which all of them lie
 */
function sortShards(places: readonly string[], folder?: string): SortedShards {
  const sorted: SortedShards = { train: [], val: [], test: [] };
  const ways = places.map(foldersOf);
  const shared = folder === undefined ? sharedStart(ways) : foldersOf(`${folder}/x`).length;
  places.forEach((place, at) => {
    const below = ways[at]?.slice(shared).reverse() ?? [];
    const told = below.map(splitTold).find((split) => split !== undefined) ?? splitTold(nameOf(place));
    sorted[told ?? 'train'].push(place);
  });
  return sorted;
}

function foldersOf(place: string): string[] {
  const folders = pathOf(place).split(/[\\/]/).slice(0, -1);
  return folders.filter((name) => name !== '' && name !== '.');
}

/** How many folders all ways begin with. */
function sharedStart([first = [], ...others]: readonly (readonly string[])[]): number {
  const differs = first.findIndex((name, at) => others.some((way) => way[at] !== name));
  return differs < 0 ? first.length : differs;
}

/** Whether what a user named as data are shards: by its name, or as a folder with an index of shards or nothing but shards. */
export async function areShards(word: string): Promise<boolean> {
  const found = await stat(systemPath(word)).catch(() => null);
  if (namesShards(word) && !found?.isDirectory()) return true;
  return (await readPackIndex(word, createNetwork())) !== null || (await contentOf(word)) === 'shards';
}

/** What a folder holds; looks no further when it has met an image, or a folder whose name tells no split. */
async function contentOf(folder: string, isSplit = false): Promise<'shards' | 'nothing' | 'other'> {
  let content: 'shards' | 'nothing' = 'nothing';
  try {
    for await (const entry of await opendir(systemPath(folder))) {
      const { name } = entry;
      if (entry.isDirectory()) {
        if (setAside(name) !== undefined) continue;
        const below = isSplit || !splitTold(name) ? 'other' : await contentOf(join(folder, name), true);
        if (below === 'other') return below;
        if (below === 'shards') content = below;
      } else if (!name.startsWith('.')) {
        if (isImage(name)) return 'other';
        if (IS_SHARD.test(name) && !entry.isFIFO()) content = 'shards';
      }
    }
  } catch {
    return 'other'; // whoever opens it says why
  }
  return content;
}

/**
 * The shards (.tar) in a folder of this machine and up to two levels below it, in the order of their names.
 * @throws UserError if there are none
 */
async function shardsIn(folder: string): Promise<{ places: string[]; notes: string[] }> {
  const advice = {
    expected: 'a folder of shards (.tar), or names of shards with braces',
    remedy: "name them, in single quotes: 'data/train-{000000..000146}.tar'",
  };
  const places: string[] = [];
  const leftOut = new LeftOut();
  const visited = new Set<string>();
  const visit = async (place: string, level: number): Promise<void> => {
    const real = (await realpath(systemPath(place), 'buffer')).toString('latin1');
    if (visited.has(real)) return;
    visited.add(real);
    const content = await lookInto(place, (name) => IS_SHARD.test(name), missedBesideShards);
    leftOut.addAll(content.leftOut, place);
    places.push(...content.files.map((name) => join(place, name)));
    for (const name of content.folders) {
      if (level < MAX_LEVELS) await visit(join(place, name), level + 1);
      else leftOut.add('folder', `shards are looked for ${MAX_LEVELS} levels deep`, join(place, name));
    }
  };
  await visit(folder, 0).catch((error: unknown) => {
    if (!isMissing(error) && !isSystemError(error, 'ENOTDIR')) throw explainSystemError(error, shownName(folder));
    throw new UserError(`${shownName(folder)} is not a folder, or does not exist`, advice);
  });
  if (places.length > 0) return { places, notes: leftOut.notes };
  throw new UserError([`there are no shards in ${shownName(folder)}`, ...leftOut.notes].join('\n    '), advice);
}
