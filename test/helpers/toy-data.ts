import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { type DataSet, type ImageItem, type LabelledImages, type OriginFile, PluginError } from '../../core/plugin.js';
import { type MadeEntry, makeTarGz } from './archives.js';

/** The classes of the toy, and how many training images each has; the test split has one of each but the last. */
export const TOY = { red: 5, green: 3, blue: 2, 'a long name of a class, grey': 1 } as const;
const COLOURS = ['#d02020', '#20a020', '#2040d0', '#808080'];
const CLASSES = Object.keys(TOY);

/** A small labelled data set that lies in a folder `toy`: train/CLASS-N.png and test/CLASS-N.png. */
export function toyDataSet(files: readonly OriginFile[] | null): DataSet {
  return {
    name: 'toy',
    summary: 'coloured squares',
    argument: 'folder',
    async open(argument) {
      return openSplit(argument, 'train');
    },
    async openLabelled(argument) {
      const [train, test] = [await openSplit(argument, 'train'), await openSplit(argument, 'test')];
      return { classes: CLASSES, train, test, notes: ['there is no grey test image'] };
    },
    async locate(folder) {
      for (const place of [folder, join(folder, 'toy')]) if (existsSync(join(place, 'toy.marker'))) return place;
      return null;
    },
    ...(files && { origin: { page: 'https://example.org/toy', terms: 'for tests alone', files } }),
  };
}

async function openSplit(folder: string | null, split: string): Promise<LabelledImages> {
  if (folder === null) throw new PluginError('toy needs a folder', { expected: 'the folder in which toy lies' });
  const names = (await readdir(join(folder, split))).sort();
  return {
    description: join(folder, split),
    length: names.length,
    fingerprint: names.join(),
    item: (index): ImageItem => {
      const name = `${split}/${names[index]}`;
      return { name, source: () => readFile(join(folder, name)) };
    },
    classOf: (index) => Number(names[index]?.split('-')[0]),
  };
}

/** What the archive of the toy holds. */
export async function toyEntries(): Promise<MadeEntry[]> {
  const entries: MadeEntry[] = [{ name: 'toy/toy.marker', content: '' }];
  for (const [at, images] of Object.values(TOY).entries()) {
    const picture = await sharp({
      create: {
        width: 40 + at,
        height: 32,
        channels: 3,
        background: COLOURS[at] as string,
        noise: { type: 'gaussian', mean: 128, sigma: 40 },
      },
    })
      .png()
      .toBuffer();
    for (let image = 0; image < images; image++)
      entries.push({ name: `toy/train/${at}-${image}.png`, content: picture });
    if (at < CLASSES.length - 1) entries.push({ name: `toy/test/${at}-0.png`, content: picture });
  }
  return entries;
}

export async function toyArchive(): Promise<Buffer> {
  return makeTarGz(await toyEntries());
}
