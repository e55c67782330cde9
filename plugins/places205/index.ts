import { join } from 'node:path';
import { type DataSet, type ImageCollection, type LabelledData, type Plugin, PluginError } from '../../core/plugin.js';
import { hasClassFolders, listClassFolders, openClassFolders } from '../shared/class-folders.js';
import { isFile, isFolder, locateIn, requireFolder } from '../shared/files.js';
import { type ImageFiles, labelledFiles, openFiles } from '../shared/image-files.js';
import { transferProtocol } from '../shared/protocol.js';
import { readList } from './list.js';

const LISTS = 'trainvalsplit_places205';
const HOLDS = `a folder with ${LISTS}/{train,val}_places205.csv and an images folder, or with {train,val}/CLASS/*.jpg`;
/** Where the images may lie beside the lists; the first that exists is taken. */
const IMAGE_FOLDERS = ['data/vision/torralba/deeplearning/images256', 'images256', 'images'];

/** Places205 as published, lists and one folder of images, or sorted into folders by class. */
const places205: DataSet = {
  name: 'places205',
  summary: 'Places205: 205 kinds of places, about 2.4 million training and 20,500 validation images',
  argument: 'folder',
  async open(argument): Promise<ImageCollection> {
    const folder = await requireFolder('places205', argument, HOLDS);
    const train = (await hasLists(folder)) ? await readPart(folder, 'train') : await trainFolders(folder);
    return openFiles(train, sortedKeys(train));
  },
  async openLabelled(argument): Promise<LabelledData> {
    const folder = await requireFolder('places205', argument, HOLDS);
    if (!(await hasLists(folder))) {
      await requireClassFolders(folder);
      return openClassFolders(folder);
    }
    const train = await readPart(folder, 'train');
    const names = classNames(train);
    const test = await readPart(folder, 'val');
    return labelledFiles(train, test, { keys: sortedKeys(train), nameOf: (key) => names.get(key) ?? key });
  },
  locate: (path) =>
    locateIn(path, async (folder) => (await hasLists(folder)) || isFolder(join(folder, 'train', 'abbey'))),
  origin: {
    page: 'http://places.csail.mit.edu/downloadData.html',
    terms: 'asks for an e-mail address and consent to its terms (research and education)',
    files: [],
  },
  protocol: transferProtocol(14, { kind: 'steps', atEpochs: [4, 8, 12] }, 'crop', 'bilinear'),
};

function listPath(folder: string, part: 'train' | 'val'): string {
  return join(folder, LISTS, `${part}_places205.csv`);
}

/** Whether there are lists, whole or not: then the images are those of the lists. */
async function hasLists(folder: string): Promise<boolean> {
  return (await isFile(listPath(folder, 'train'))) || (await isFile(listPath(folder, 'val')));
}

async function readPart(folder: string, part: 'train' | 'val'): Promise<ImageFiles> {
  for (const name of IMAGE_FOLDERS) {
    if (await isFolder(join(folder, name))) return readList(listPath(folder, part), join(folder, name));
  }
  throw new PluginError(`${folder} has lists of images, but no folder of images`, {
    expected: `one of ${IMAGE_FOLDERS.join(', ')} in it`,
    remedy: 'unpack the images there, or link their folder as images',
  });
}

async function trainFolders(folder: string): Promise<ImageFiles> {
  await requireClassFolders(folder);
  return listClassFolders(join(folder, 'train'));
}

async function requireClassFolders(folder: string): Promise<void> {
  if (await hasClassFolders(folder)) return;
  throw new PluginError(`there is no Places205 in ${folder}`, { expected: HOLDS, remedy: 'check the path' });
}

/** Class numbers in their order. */
function sortedKeys({ keys }: ImageFiles): string[] {
  return keys.every((key) => /^\d+$/.test(key)) ? [...keys].sort((a, b) => Number(a) - Number(b)) : [...keys].sort();
}

/** The folder of a class's first image is its name: 'a/abbey'. */
function classNames(train: ImageFiles): Map<string, string> {
  const names = new Map<string, string>();
  const keys = sortedKeys(train);
  const classes = train.classesIn(keys);
  classes.forEach((place, index) => {
    const key = keys[place] as string;
    if (names.has(key)) return;
    const folders = train.names.at(index).split('/').slice(0, -1);
    const name = folders.join('/') || key;
    names.set(key, [...names.values()].includes(name) ? `${name} (${key})` : name);
  });
  return names;
}

const plugin = {
  name: 'places205',
  summary: 'Places205',
  dataSets: [places205],
} satisfies Plugin;

export default plugin;
