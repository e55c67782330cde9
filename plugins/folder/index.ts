import { join } from 'node:path';
import type { DataSet, ImageCollection, LabelledData, Plugin } from '../../core/plugin.js';
import { hasClassFolders, listClassFolders, openClassFolders } from '../shared/class-folders.js';
import { locateIn, requireFolder } from '../shared/files.js';
import { openFiles } from '../shared/image-files.js';

const HOLDS = 'a folder with train/CLASS/ and val/CLASS/ (or test/CLASS/) and images in them';

/** Any images that are sorted into folders by class. */
const folder: DataSet = {
  name: 'folder',
  summary: 'your own pictures, sorted into train/CLASS and val/CLASS (or test/CLASS)',
  argument: 'folder',
  async open(argument): Promise<ImageCollection> {
    const files = await listClassFolders(join(await requireFolder('folder', argument, HOLDS), 'train'));
    return openFiles(files, [...files.keys].sort());
  },
  async openLabelled(argument): Promise<LabelledData> {
    return openClassFolders(await requireFolder('folder', argument, HOLDS));
  },
  locate: (path) => locateIn(path, hasClassFolders),
};

const plugin = {
  name: 'folder',
  summary: 'Pictures sorted into folders by class',
  dataSets: [folder],
} satisfies Plugin;

export default plugin;
