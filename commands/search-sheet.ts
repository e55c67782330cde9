import { UserError } from '../core/base/errors.js';
import { shownName } from '../core/base/file-names.js';
import { findDataSet, splitName } from '../core/data/open.js';
import type { StoredFeatures } from '../core/eval/features-file.js';
import { openSplit } from '../core/eval/labelled-data.js';
import type { Neighbour } from '../core/eval/search.js';
import { testView } from '../core/eval/views.js';
import type { ImageItem } from '../core/plugin.js';
import {
  CELL,
  MOST_NEIGHBOURS,
  MOST_ROWS,
  type SheetRow,
  writeNeighboursSheet,
} from '../core/report/neighbours-sheet.js';
import type { SearchOptions } from './options/using.js';
import { refuseOwnInput } from './own-input.js';
import { configuredDataSets } from './plugins.js';

/** What was found for an image, which is one of its own where it has an item. */
type Found = { query: { name: string; item?: ImageItem }; nearest: readonly Neighbour[] };

/**
 * Draws what was found.
 * @returns how many pictures are not where they were
 * @throws UserError if the file to write is one of them, or there is no such --data
 */
export async function drawFound(
  out: string,
  found: readonly Found[],
  stored: StoredFeatures,
  asked: SearchOptions,
): Promise<number> {
  const itemOf = await findItems(stored, asked.data);
  const named = found.slice(0, MOST_ROWS).map(({ query, nearest }) => ({
    query: { name: query.name, item: query.item ?? itemOf(query.name), below: '' },
    nearest: nearest.slice(0, MOST_NEIGHBOURS).map(({ name, row, similarity }) => {
      const below = [similarity.toFixed(3), stored.classes?.[row] ?? ''].join('  ');
      return { name, item: itemOf(name), below };
    }),
  }));
  const items = named.flatMap(({ query, nearest }) => [query, ...nearest].flatMap(({ item }) => item ?? []));
  const images = { description: '', length: items.length, fingerprint: '', item: (index: number) => items[index] };
  refuseOwnInput(out, images);
  const settings = { imageSize: CELL, ...seenAs(stored, asked) };
  let missing = 0;
  const read = async ({ item, ...words }: (typeof named)[number]['query']) => {
    const rgb = item ? await testView(item, settings).catch(() => null) : null;
    if (rgb === null) missing++;
    return { ...words, rgb };
  };
  const rows: SheetRow[] = [];
  for (const { query, nearest } of named) {
    rows.push({ query: await read(query), nearest: await Promise.all(nearest.map(read)) });
  }
  const title = `Most similar of ${stored.names.length} images, by the features of ${stored.facts.network}`;
  await writeNeighboursSheet(out, title, rows);
  return missing;
}

/** How the network saw the images of the file. */
export function seenAs({ facts }: StoredFeatures, { maxMegapixels }: Pick<SearchOptions, 'maxMegapixels'>) {
  const transform = facts.transform === 'squash' ? ('squash' as const) : ('crop' as const);
  return { transform, pixelLimit: Math.floor(maxMegapixels * 1e6) };
}

/**
 * Finds the images of a file of features by their names.
 * @param moved where they lie now; null: where they lay
 */
async function findItems({ facts }: StoredFeatures, moved: string | null) {
  const { source = '', split } = facts;
  const word = moved ?? source;
  const dataSets = await configuredDataSets();
  const hasParts = findDataSet(word, dataSets) && (split === 'train' || split === 'test');
  const opened = await openSplit(word, hasParts ? split : null, dataSets).catch((error: unknown) => {
    if (moved !== null || !(error instanceof UserError)) throw error;
    return null;
  });
  const items = new Map<string, ImageItem>();
  for (let index = 0; index < (opened?.images.length ?? 0); index++) {
    const item = opened?.images.item(index);
    if (item) items.set(within(item.name, word), item);
  }
  return (name: string) => items.get(within(name, source));
}

/** An image's name from the folder on that was named as data, so that the folder may have moved. */
function within(name: string, word: string): string {
  const start = [word, splitName(word)[1] ?? ''].map(shownName).find((folder) => name.startsWith(folder)) ?? '';
  return name.slice(start.length).replace(/^[\\/]/, '');
}
