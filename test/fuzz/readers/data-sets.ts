import assert from 'node:assert';
import { readFileSync } from 'node:fs';
import { cp } from 'node:fs/promises';
import { dirname, join, sep } from 'node:path';
import fc from 'fast-check';
import { openFolders } from '../../../core/data/folder.js';
import { subsetByFile } from '../../../core/eval/labelled-data.js';
import { type LabelledImages, type Plugin, PluginError } from '../../../core/plugin.js';
import clevr from '../../../plugins/clevr/index.js';
import { indicesOfList } from '../../../plugins/imagenet/index.js';
import inat18 from '../../../plugins/inat18/index.js';
import places205 from '../../../plugins/places205/index.js';
import { FIXTURES } from '../../helpers/paths.js';
import { editedJson } from '../json.js';
import { editedLines } from '../lines.js';
import type { FuzzedReader } from '../reader.js';

/** A file of a data set's fixture; the others are right. */
function partOf(
  name: string,
  plugin: Plugin,
  fixture: string,
  file: string,
  inputs: (text: string) => fc.Arbitrary<Uint8Array>,
): FuzzedReader {
  const source = join(FIXTURES, 'data', fixture);
  return {
    name,
    file,
    inputs: inputs(readFileSync(join(source, file), 'utf8')),
    prepare: (folder) => cp(source, folder, { recursive: true }),
    async read(path) {
      const folder = file.split('/').reduce((below) => dirname(below), path);
      const outcomes = await Promise.allSettled(
        (plugin.dataSets ?? []).map(async (dataSet) => {
          const data = await dataSet.openLabelled?.(folder);
          if (!data) throw new Error('the plugin has no labelled data set');
          for (const part of [data.train, data.test]) checkImages(part, data.classes.length, folder);
          await dataSet.open(folder);
        }),
      );
      const refused = outcomes.filter((outcome) => outcome.status === 'rejected').map(({ reason }) => reason);
      const [first] = refused.sort((a, b) => Number(a instanceof PluginError) - Number(b instanceof PluginError));
      if (first) throw first; // that of a bug goes before
    },
  };
}

function checkImages(images: LabelledImages, classes: number, folder: string): void {
  assert(images.length > 0);
  for (let index = 0; index < images.length; index++) {
    assert(images.classOf(index) >= 0 && images.classOf(index) < classes);
    const { source } = images.item(index);
    assert(typeof source === 'string' && source.startsWith(folder + sep), `${source} lies outside`);
  }
}

const json = (text: string) => editedJson(fc.constant(JSON.parse(text))).map((edited) => Buffer.from(edited));
const lines = (text: string) => editedLines(text.trim().split('\n'));

/** Images in memory, for lists that name them. */
const NAMES = [
  'n01440764/n01440764_1.JPEG',
  'n01440764/n01440764_2.JPEG',
  'n01443537/n01443537_1.JPEG',
  'x/a.jpg',
  'y/a.jpg',
];
const IMAGES: LabelledImages = {
  description: 'images',
  length: NAMES.length,
  fingerprint: 'x',
  classOf: () => 0,
  item: (index) => ({ name: NAMES[index] as string, source: NAMES[index] as string }),
};

export const dataSetReaders: readonly FuzzedReader[] = [
  partOf('inat18', inat18, 'inat18', 'train2018.json', json),
  partOf('clevr', clevr, 'clevr', 'CLEVR_v1.0/scenes/CLEVR_train_scenes.json', json),
  partOf('places205-list', places205, 'places205-lists', 'trainvalsplit_places205/train_places205.csv', lines),
  {
    name: 'subset-list',
    file: 'list.txt',
    inputs: editedLines([...NAMES, 'n01440764_1.JPEG', '# a note']),
    async read(path) {
      const { length, item } = await subsetByFile(IMAGES, path);
      for (let index = 0; index < length; index++) assert(NAMES.includes(item(index).name));
    },
  },
  {
    name: 'imagenet-list',
    file: 'list.txt',
    inputs: editedLines(['n01440764_1.JPEG', 'n01440764_2.JPEG', 'n01443537_1.JPEG']),
    async read(path) {
      for (const index of await indicesOfList(IMAGES, path)) assert(index >= 0 && index < IMAGES.length);
    },
  },
  {
    name: 'image-list',
    file: 'list.txt',
    inputs: editedLines(['a.jpg', 'b/c.png', '/x/y.gif', '../d.webp', '# a note']),
    async read(path) {
      const images = await openFolders([path]);
      for (let index = 0; index < images.length; index++) images.item(index);
    },
  },
];
