import { opendir, readdir } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { explainSystemError, UserError } from '../../errors.js';
import { IMAGE_EXTENSIONS } from '../listing/scan.js';
import { expandBraces, inside, isAddress, nameOf, namesShards, parseAddress } from './address.js';
import { type PackIndex, readIndexBeside, readPackIndex } from './index-file.js';
import { createNetwork } from './network.js';

/** Where the shards of a data set lie, by the part that they belong to. */
export interface FoundShards {
  train: string[];
  test: string[];
  /** The names of the classes, where an index tells them. */
  classes: readonly string[] | null;
}

/**
 * Finds shards: of a folder (of this machine or a server) by its index, or else the .tar files in a folder of this machine;
 * or those that words name. Which part one belongs to is told by the index, or by 'train', 'val' or 'test' in its name.
 * @throws UserError if there are none
 */
export async function findShards(word: string): Promise<FoundShards> {
  const network = createNetwork();
  if (namesShardFiles(word)) {
    const places = expandBraces(word);
    const index = await readIndexBeside(places[0] as string, network);
    return { ...sortShards(places), classes: index?.classes ?? null };
  }
  const index = await readPackIndex(word, network);
  if (index) {
    const { train, val } = index.splits;
    const placesOf = (split: PackIndex['splits']['val']) => split?.shards.map(({ name }) => inside(word, name)) ?? [];
    return { train: placesOf(train), test: placesOf(val), classes: index.classes };
  }
  if (isAddress(word)) {
    throw new UserError(`${word} has no index.json of shards`, {
      expected: 'a folder that `ijepa data pack` wrote, or the addresses of shards',
      remedy: `name the shards: '${inside(word, 'train-{000000..000146}.tar')}'`,
    });
  }
  return { ...sortShards(await tarFilesIn(word)), classes: null };
}

/** Whether what a user named as data are shards: by its name, or as a folder with an index of shards or nothing but shards. */
export async function areShards(word: string): Promise<boolean> {
  return namesShards(word) || (await readPackIndex(word, createNetwork())) !== null || (await holdsOnlyShards(word));
}

/** Whether a folder has shards and neither images nor folders; ends at the first of these. */
async function holdsOnlyShards(folder: string): Promise<boolean> {
  let found = false;
  try {
    for await (const entry of await opendir(folder)) {
      const extension = extname(entry.name).toLowerCase();
      if (entry.isDirectory() || IMAGE_EXTENSIONS.includes(extension)) return false;
      found ||= extension === '.tar';
    }
  } catch {
    return false; // whoever opens it says why
  }
  return found;
}

/**
 * The shards that a word names for training: as they are named, or the training shards of a folder.
 * @throws UserError if there are none
 */
export async function trainingShards(word: string): Promise<string[]> {
  return namesShardFiles(word) ? expandBraces(word) : (await findShards(word)).train;
}

function namesShardFiles(word: string): boolean {
  return isAddress(word) ? /\.tar$/i.test(parseAddress(word).pathname) : namesShards(word);
}

/** Sorts shards by the part that their names tell; those of no part are for training. */
function sortShards(places: readonly string[]): { train: string[]; test: string[] } {
  const parts = { train: [] as string[], val: [] as string[], test: [] as string[] };
  for (const place of places) {
    const words = nameOf(place)
      .toLowerCase()
      .split(/[^a-z]+/);
    const has = (...names: string[]) => words.some((word) => names.includes(word));
    const part = has('val', 'valid', 'validation') ? 'val' : has('test') ? 'test' : 'train';
    parts[part].push(place);
  }
  return { train: parts.train, test: parts.val.length > 0 ? parts.val : parts.test };
}

async function tarFilesIn(folder: string): Promise<string[]> {
  const advice = {
    expected: 'a folder of shards (.tar), or names of shards with braces',
    remedy: "name them, in single quotes: 'data/train-{000000..000146}.tar'",
  };
  const names = await readdir(folder).catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')) {
      throw new UserError(`${folder} is not a folder, or does not exist`, advice);
    }
    throw explainSystemError(error, folder);
  });
  const shards = names.filter((name) => name.endsWith('.tar') && !name.startsWith('.')).sort();
  if (shards.length === 0) throw new UserError(`there are no shards in ${folder}`, advice);
  return shards.map((name) => join(folder, name));
}
