import { existsSync, statSync } from 'node:fs';
import { createConsole } from '../core/base/console.js';
import { UserError } from '../core/base/errors.js';
import { shownName, systemPath } from '../core/base/file-names.js';
import { checkOutputFile } from '../core/base/folders.js';
import type { ImageItem } from '../core/contract/data-sets.js';
import { startEngine } from '../core/engine/start.js';
import { fileImages } from '../core/eval/encoder.js';
import { extractFeatures } from '../core/eval/features.js';
import { readFeatures, type StoredFeatures } from '../core/eval/features-file.js';
import { openSplit } from '../core/eval/labelled-data.js';
import { atImageSize, loadNetwork } from '../core/eval/network.js';
import { featureColumns } from '../core/eval/samples.js';
import { nearestRows } from '../core/eval/search.js';
import { testView } from '../core/eval/views.js';
import { SHEET_CELL, type SheetCell, writeContactSheet } from '../core/report/contact-sheet.js';
import { extractionSettings } from './options/evaluation.js';
import type { SearchOptions } from './options/use.js';
import { configuredDataSets } from './plugins.js';

/** What is looked for: a picture of the file itself, or one beside it. */
interface Query {
  name: string;
  /** Its row in the file; null where it is not in there. */
  row: number | null;
}

/** Finds the pictures that are nearest to others, by features that were written. */
export async function runSearch(options: SearchOptions): Promise<void> {
  const { queries: words, in: path, top, out, json } = options;
  const console = createConsole(json);
  if (out !== null) checkOutputFile(out, '--out', options.force);
  const stored = await readFeatures(path);
  if (stored.facts.views !== 'test') {
    throw new UserError(`${path} holds random views`, {
      expected: 'a row for each picture',
      remedy: 'write it without --views',
    });
  }
  const rowOf = new Map(stored.facts.names.map((name, row) => [name, row]));
  const queries = words.map((word): Query => ({ name: word, row: rowOf.get(word) ?? null }));
  const features = await featuresOf(queries, stored, options);
  const found = nearestRows(
    stored.data,
    features,
    stored.width,
    top,
    queries.map(({ row }) => row),
  );

  const { names, classes } = stored.facts;
  const results = queries.map(({ name }, at) => ({
    query: name,
    nearest: found[at].map(({ row, similarity }) => ({
      name: names[row],
      row,
      similarity: Number(similarity.toFixed(4)),
      ...(classes && stored.labels && { class: classes[stored.labels[row]] }),
    })),
  }));
  for (const { query, nearest } of results) {
    console.line(query);
    for (const { similarity, name, class: label } of nearest) {
      console.line(`  ${similarity.toFixed(3)}  ${name}${label === undefined ? '' : `  (${label})`}`);
    }
  }
  if (out !== null) {
    await drawSheet(out, queries, found, stored, options);
    console.line(`wrote ${out}`);
  }
  if (json) process.stdout.write(`${JSON.stringify({ in: path, rows: stored.rows, results, out })}\n`);
}

/** Features of queries, [Q, K]: those of the file, or computed by the encoder that made it. */
async function featuresOf(queries: readonly Query[], stored: StoredFeatures, options: SearchOptions) {
  const { width, facts, data } = stored;
  const features = new Float32Array(queries.length * width);
  const others: { name: string; at: number }[] = [];
  for (const [at, { name, row }] of queries.entries()) {
    if (row === null) others.push({ name, at });
    else features.set(data.subarray(row * width, (row + 1) * width), at * width);
  }
  for (const { name } of others) {
    if (statSync(systemPath(name), { throwIfNoEntry: false })?.isFile()) continue;
    throw new UserError(`${name} is neither the file of a picture nor a name in ${options.in}`, {
      expected: `a picture, or a name such as ${facts.names[0]}`,
      remedy: existsSync(name) ? 'name the pictures in it' : 'check the name',
    });
  }
  if (others.length === 0) return features;
  const { device, precision, threads } = options;
  const engine = await startEngine(options.engine, { device, precision, ...(threads !== null && { threads }) });
  const checkpoint = options.checkpoint ?? facts.checkpoint;
  const network = atImageSize(await loadNetwork(checkpoint, facts.encoder), facts.imageSize);
  if (network.facts.fingerprint !== facts.fingerprint) {
    throw new UserError(`${options.in} was not computed by the encoder that ${checkpoint} holds now`, {
      expected: 'the very weights: features of others cannot be compared',
      remedy: 'name the checkpoint with --checkpoint, or write the features anew',
    });
  }
  const images = fileImages(others.map(({ name }) => name));
  const { transform } = facts;
  const settings = {
    ...extractionSettings({ ...options, cache: null, cacheLimit: null }, null),
    transform,
    views: 'test' as const,
    seed: 0,
  };
  const table = await extractFeatures(engine, network, images, settings);
  const computed = featureColumns(table, facts.layers);
  for (const [place, { at }] of others.entries()) {
    features.set(computed.subarray(place * width, (place + 1) * width), at * width);
  }
  network.dispose();
  return features;
}

/** Draws each query and what was found of it, as the network sees pictures. */
async function drawSheet(
  out: string,
  queries: readonly Query[],
  found: ReturnType<typeof nearestRows>,
  { facts }: StoredFeatures,
  options: SearchOptions,
): Promise<void> {
  const { images } = await openSplit(facts.source, facts.split ?? null, await configuredDataSets()).catch(
    (error: unknown) => {
      throw new UserError(
        `the pictures of ${options.in} cannot be drawn: ${facts.source} cannot be opened from here`,
        {
          expected: 'the same data as when features were written',
          remedy: 'go to the folder from which they were, or leave --out out',
        },
        { cause: error },
      );
    },
  );
  const items = new Map<string, ImageItem>();
  for (let index = 0; index < images.length; index++) items.set(images.item(index).name, images.item(index));
  const pixelLimit = Math.floor(options.maxMegapixels * 1e6);
  const view = { imageSize: SHEET_CELL, transform: facts.transform, pixelLimit };
  const cell = async (item: ImageItem | undefined, captions: string[]): Promise<SheetCell> => ({
    rgb: item ? await testView(item, view).catch(() => null) : null,
    captions,
  });
  const rows = queries.map(async ({ name, row }, at) => {
    const own = row === null ? fileImages([name]).item(0) : items.get(name);
    const nearest = found[at].map(({ row, similarity }) => {
      return cell(items.get(facts.names[row]), [similarity.toFixed(3), facts.names[row]]);
    });
    return Promise.all([cell(own, ['query', shownName(name)]), ...nearest]);
  });
  await writeContactSheet(
    out,
    `Nearest of ${facts.names.length} pictures by cosine similarity`,
    await Promise.all(rows),
  );
}
