import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { DataSet, ImageCollection, LabelledData, Plugin, ProbeProtocol } from '../../core/plugin.js';
import { hasClassFolders, listClassFolders, openClassFolders } from '../shared/class-folders.js';
import { locateIn, requireFolder } from '../shared/files.js';
import { openFiles } from '../shared/image-files.js';

export { indicesOfList } from './subset.js';

const HOLDS = 'a folder with train/nXXXXXXXX/*.JPEG and val/nXXXXXXXX/*.JPEG';
/** A WordNet number, the name of a class. */
const CLASS = /^n\d{8}$/;

/** Paper, appendix A.2. */
const protocol: ProbeProtocol = {
  optimiser: 'lars',
  epochs: 50,
  batchSize: 16384,
  baseLearningRate: 0.1,
  schedule: { kind: 'steps', atEpochs: [15, 30, 45] },
  momentum: 0.9,
  nesterov: false,
  weightDecays: [0.0005, 0],
  learningRateFactors: [1, 0.1],
  features: ['last', 'last-4'],
  norms: ['batch', 'none'],
  transform: 'crop',
};

/** ImageNet-1K as people unpack it: a folder for each class, validation images sorted likewise. */
const imagenet: DataSet = {
  name: 'imagenet',
  summary: 'ImageNet-1K (ILSVRC 2012): 1,000 classes, 1,281,167 training and 50,000 validation images',
  argument: 'folder',
  async open(argument): Promise<ImageCollection> {
    const files = await listClassFolders(join(await requireFolder('imagenet', argument, HOLDS), 'train'));
    return openFiles(files, [...files.keys].sort());
  },
  async openLabelled(argument): Promise<LabelledData> {
    return openClassFolders(await requireFolder('imagenet', argument, HOLDS));
  },
  locate: (path) => locateIn(path, hasWordNetFolders),
  origin: {
    page: 'https://www.image-net.org/download.php',
    terms: 'needs an account with ImageNet and consent to its terms (non-commercial research and education)',
    files: [],
  },
  protocol,
};

async function hasWordNetFolders(folder: string): Promise<boolean> {
  if (!(await hasClassFolders(folder))) return false;
  const names = await readdir(join(folder, 'train')).catch(() => []);
  return names.some((name) => CLASS.test(name));
}

const plugin = {
  name: 'imagenet',
  summary: 'ImageNet-1K',
  dataSets: [imagenet],
} satisfies Plugin;

export default plugin;
