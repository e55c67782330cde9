import { join } from 'node:path';
import { type DataSet, type ImageCollection, type LabelledData, type Plugin, PluginError } from '../../core/plugin.js';
import { isFile, isFolder, locateIn, requireFolder } from '../shared/files.js';
import { labelledFiles, openFiles } from '../shared/image-files.js';
import { transferProtocol } from '../shared/protocol.js';
import { type Annotations, readAnnotations } from './annotations.js';

const HOLDS = 'a folder with train2018.json, val2018.json and train_val2018/SUPER/ID/*.jpg';

/** iNaturalist 2018: species of plants and animals, with annotations in COCO's form. */
const inat18: DataSet = {
  name: 'inat18',
  summary: 'iNaturalist 2018: 8,142 species, 437,513 training and 24,426 validation images',
  argument: 'folder',
  async open(argument): Promise<ImageCollection> {
    const { files } = await readPart(await requireFolder('inat18', argument, HOLDS), 'train');
    return openFiles(files, byNumber(files.keys));
  },
  async openLabelled(argument): Promise<LabelledData> {
    const folder = await requireFolder('inat18', argument, HOLDS);
    const train = await readPart(folder, 'train');
    const test = await readPart(folder, 'val');
    const nameOf = (key: string) => train.classNames.get(key) ?? test.classNames.get(key) ?? key;
    return labelledFiles(train.files, test.files, { keys: byNumber(train.files.keys), nameOf });
  },
  locate: (path) => locateIn(path, (folder) => isFile(join(folder, 'train2018.json'))),
  origin: {
    page: 'https://github.com/visipedia/inat_comp/tree/master/2018',
    terms: 'non-commercial research and education; the images keep the licences of their makers',
    files: ['train_val2018.tar.gz', 'train2018.json.tar.gz', 'val2018.json.tar.gz'].map((name) => ({
      url: `https://ml-inat-competition-datasets.s3.amazonaws.com/2018/${name}`,
    })),
  },
  protocol: transferProtocol(84, { kind: 'steps', atEpochs: [24, 48, 72] }, 'crop', 'bilinear'),
};

async function readPart(folder: string, part: 'train' | 'val'): Promise<Annotations> {
  const path = join(folder, `${part}2018.json`);
  if (!(await isFile(path))) {
    throw new PluginError(`${path} is missing`, {
      expected: 'the annotations of training and validation images',
      remedy: `unpack ${part}2018.json.tar.gz there`,
    });
  }
  if (!(await isFolder(join(folder, 'train_val2018')))) {
    throw new PluginError(`${join(folder, 'train_val2018')} does not exist`, {
      expected: 'the folder of the images, beside the annotations',
      remedy: 'unpack train_val2018.tar.gz there',
    });
  }
  return readAnnotations(path, folder);
}

function byNumber(keys: readonly string[]): string[] {
  return [...keys].sort((a, b) => Number(a) - Number(b));
}

const plugin = {
  name: 'inat18',
  summary: 'iNaturalist 2018',
  dataSets: [inat18],
} satisfies Plugin;

export default plugin;
