import { isAddress, nameOf, parseAddress } from './address.js';

export interface SortedShards {
  train: string[];
  val: string[];
  test: string[];
}

type Split = keyof SortedShards;

const WORDS: Readonly<Record<string, Split>> = {
  train: 'train',
  training: 'train',
  val: 'val',
  valid: 'val',
  validation: 'val',
  test: 'test',
  testing: 'test',
};
/** Of several words, the first of these counts. */
const ORDER: readonly Split[] = ['val', 'test', 'train'];

/** The split that a name tells by one of its words; undefined where it tells none. */
export function splitTold(name: string): Split | undefined {
  const told = name
    .toLowerCase()
    .split(/[^a-z]+/)
    .map((word) => (Object.hasOwn(WORDS, word) ? WORDS[word] : undefined));
  return ORDER.find((split) => told.includes(split));
}

/**
 * Sorts shards by their split: the nearest folder whose name tells one counts, then the name of the file; those of no split
 * are for training. Folders in which all of them lie tell nothing.
 * @param folder in which they were found; without it, the deepest one in which all of them lie
 */
export function sortShards(places: readonly string[], folder?: string): SortedShards {
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

/** The folders on the way to a file. */
function foldersOf(place: string): string[] {
  const path = isAddress(place) ? parseAddress(place).pathname : place;
  return path
    .split(/[\\/]/)
    .slice(0, -1)
    .filter((name) => name !== '' && name !== '.');
}

/** How many folders all ways begin with. */
function sharedStart([first = [], ...others]: readonly (readonly string[])[]): number {
  const differs = first.findIndex((name, at) => others.some((way) => way[at] !== name));
  return differs < 0 ? first.length : differs;
}
