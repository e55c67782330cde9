import { existsSync } from 'node:fs';
import { type Console, count, createConsole, SILENT } from '../core/base/console.js';
import { nearestName, UserError } from '../core/base/errors.js';
import { systemPath } from '../core/base/file-names.js';
import { checkOutputFile } from '../core/base/folders.js';
import { openData } from '../core/data/open.js';
import type { StoredFeatures } from '../core/eval/features-file.js';
import { withoutLabels } from '../core/eval/labelled-data.js';
import { featureColumns } from '../core/eval/samples.js';
import { mostSimilar, type Neighbour } from '../core/eval/search.js';
import type { ImageCollection, ImageItem } from '../core/plugin.js';
import type { Ranks } from '../core/train/communicator/ranks.js';
import { featuresByNamed } from './named-features.js';
import type { SearchOptions } from './options/using.js';
import { inRanks } from './ranks.js';
import { drawFound, seenAs } from './search-sheet.js';
import { openSearched } from './searched.js';

/** An image that others are to be like: one of the file's rows, or an image of its own. */
type Query = { name: string; row: number } | { name: string; item: ImageItem };

/** Finds the images that are most like others, prints them, and draws them; of ranks, rank 0 does all but computing. */
export async function runSearch(asked: SearchOptions): Promise<number> {
  return inRanks(asked, async (ranks) => {
    await search(asked, ranks);
    return 0;
  });
}

async function search(asked: SearchOptions, ranks: Ranks): Promise<void> {
  const { in: file, top, out, force, json } = asked;
  const console = ranks.rank === 0 ? createConsole(json) : SILENT;
  if (out !== null) checkOutputFile(out, '--out', force);
  else if (asked.data !== null) {
    throw new UserError('--data says where images lie that are to be drawn, but no picture was asked for', {
      remedy: 'add --out FILE.png, or leave --data out',
    });
  }
  const stored = await openSearched(asked, console, ranks);
  const queries = await openQueries(asked.query, file, stored);
  const known = await withFeatures(queries, stored, asked, console, ranks);
  if (ranks.rank > 0) return;
  const found = known.map(({ query, features }) => {
    const own = 'row' in query ? query.name : null;
    return { query, nearest: mostSimilar(stored, features, own, top) };
  });
  for (const { query, nearest } of found) {
    console.line(query.name);
    for (const [at, { row, name, similarity }] of nearest.entries()) {
      const words = stored.classes === null ? '' : `  ${stored.classes[row]}`;
      console.line(`${String(at + 1).padStart(4)}  ${similarity.toFixed(4).padStart(7)}  ${name}${words}`);
    }
  }
  if (out !== null) {
    const missing = await drawFound(out, found, stored, asked);
    console.line(`look at  ${out}`);
    const such = `${count(missing, 'picture')} in it could not be read`;
    if (missing > 0) console.warn(`note     ${such}: name the folder of the images with --data`);
  }
  if (!json) return;
  const withClass = ({ row, ...neighbour }: Neighbour) => ({ ...neighbour, class: stored.classes?.[row] ?? null });
  const results = found.map(({ query, nearest }) => ({ query: query.name, nearest: nearest.map(withClass) }));
  process.stdout.write(`${JSON.stringify({ features: file, images: stored.names.length, results, out })}\n`);
}

/**
 * What words stand for: names in the file of features first, then pictures.
 * @throws UserError where one is neither
 */
async function openQueries(words: readonly string[], file: string, { names }: StoredFeatures): Promise<Query[]> {
  const queries: Query[] = [];
  for (const word of words) {
    const row = names.indexOf(word);
    if (row >= 0) {
      queries.push({ name: word, row });
      continue;
    }
    if (!existsSync(systemPath(word))) {
      const nearest = nearestName(word, names);
      throw new UserError(`${word} is neither an image file nor the name of an image in ${file}`, {
        expected: `the path of an image, or a name such as ${names[0]}`,
        ...(nearest && { remedy: `did you mean '${nearest}'?` }),
      });
    }
    const images = await openData([word], []);
    queries.push(...itemsOf(images).map((item) => ({ name: item.name, item })));
  }
  return queries;
}

/** Each query with its features, [K]: a row of the file, or computed by the network that computed those, for rank 0 alone. */
async function withFeatures(
  queries: readonly Query[],
  stored: StoredFeatures,
  asked: SearchOptions,
  console: Console,
  ranks: Ranks,
) {
  const { data, width, facts } = stored;
  const rowOf = (all: Float32Array, row: number) => all.subarray(row * width, (row + 1) * width);
  const items = queries.flatMap((query) => ('item' in query ? [query.item] : []));
  const computed = new Map<string, Float32Array>();
  if (items.length > 0) {
    const seen = { ...seenAs(stored, asked), maxUnreadable: asked.maxUnreadable };
    const table = await featuresByNamed(asked.in, facts, withoutLabels(collected(items)), seen, asked, ranks);
    if (!table) return [];
    const features = featureColumns(table, facts.layers === 'last-4' ? 'last-4' : 'last');
    for (const [row, name] of table.names.entries()) computed.set(name, rowOf(features, row));
    for (const { name, reason } of table.unreadable) console.warn(`left out: ${name}: ${reason}`);
  }
  return queries.flatMap((query) => {
    const features = 'row' in query ? rowOf(data, query.row) : computed.get(query.name);
    return features ? [{ query, features }] : [];
  });
}

function itemsOf(images: ImageCollection): ImageItem[] {
  return Array.from({ length: images.length }, (_, index) => images.item(index));
}

function collected(items: readonly ImageItem[]): ImageCollection {
  return { description: 'queries', length: items.length, fingerprint: '', item: (index) => items[index] };
}
