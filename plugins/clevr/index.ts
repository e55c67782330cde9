import { type DataSet, type LabelledData, type Origin, type Plugin, PluginError } from '../../core/plugin.js';
import { isFile, locateIn, requireFolder } from '../shared/files.js';
import { ImageFiles, labelledFiles, openFiles } from '../shared/image-files.js';
import { transferProtocol } from '../shared/protocol.js';
import { distanceClass, readScenes, type Scene, scenesPath, THRESHOLDS } from './scenes.js';

const HOLDS = 'a folder CLEVR_v1.0 with images/{train,val}/*.png and scenes/CLEVR_{train,val}_scenes.json';

const origin: Origin = {
  page: 'https://cs.stanford.edu/people/jcjohns/clevr/',
  terms: 'Creative Commons CC BY 4.0',
  files: [{ url: 'https://dl.fbaipublicfiles.com/clevr/CLEVR_v1.0.zip' }],
};

const protocol = transferProtocol(50, { kind: 'cosine', finalPart: 0.01 }, 'squash', 'bilinear');

/** How many objects a scene has. Numbers that training lacks are left out of the test images. */
const count: DataSet = {
  name: 'clevr-count',
  summary: 'CLEVR, how many objects a scene has: 3 to 10, 70,000 training and 15,000 validation images',
  argument: 'folder CLEVR_v1.0',
  open: (argument) => openTraining('clevr-count', argument),
  async openLabelled(argument): Promise<LabelledData> {
    const folder = await clevrFolder('clevr-count', argument);
    const train = toFiles(await readScenes(folder, 'train'), scenesPath(folder, 'train'), countKey);
    const part = await readScenes(folder, 'val');
    const isKnown = (scene: Scene) => train.keys.includes(countKey(scene));
    const test = toFiles({ ...part, scenes: part.scenes.filter(isKnown) }, scenesPath(folder, 'val'), countKey);
    const notes = describeDropped(part.scenes.filter((scene) => !isKnown(scene)));
    const keys = [...train.keys].sort((a, b) => Number(a) - Number(b));
    return labelledFiles(train, test, { keys, nameOf: (key) => `${key} objects` }, notes);
  },
  locate,
  origin,
  protocol,
};

/** How far the nearest object of a scene is. */
const distance: DataSet = {
  name: 'clevr-dist',
  summary: 'CLEVR, how far the nearest object is: 6 classes, 70,000 training and 15,000 validation images',
  argument: 'folder CLEVR_v1.0',
  open: (argument) => openTraining('clevr-dist', argument),
  async openLabelled(argument): Promise<LabelledData> {
    const folder = await clevrFolder('clevr-dist', argument);
    const files = async (part: 'train' | 'val') =>
      toFiles(await readScenes(folder, part), scenesPath(folder, part), (scene) =>
        distanceKey(scene, scenesPath(folder, part)),
      );
    const keys = THRESHOLDS.map((_, place) => String(place));
    const nameOf = (key: string) => `up to ${THRESHOLDS[Number(key)]?.toFixed(1)}`;
    return labelledFiles(await files('train'), await files('val'), { keys, nameOf });
  },
  locate,
  origin,
  protocol: { ...protocol, epochs: 100 },
};

async function openTraining(dataSet: string, argument: string | null) {
  const folder = await clevrFolder(dataSet, argument);
  const files = toFiles(await readScenes(folder, 'train'), scenesPath(folder, 'train'), () => '');
  return openFiles(files, ['']);
}

/** The folder with scenes and images; CLEVR_v1.0 may lie below the one that was named. */
async function clevrFolder(dataSet: string, argument: string | null): Promise<string> {
  const folder = await requireFolder(dataSet, argument, HOLDS);
  return (await locate(folder)) ?? folder;
}

function locate(path: string): Promise<string | null> {
  return locateIn(
    path,
    async (folder) => (await isFile(scenesPath(folder, 'train'))) || isFile(scenesPath(folder, 'val')),
  );
}

function toFiles(
  { root, scenes }: { root: string; scenes: readonly Scene[] },
  description: string,
  keyOf: (scene: Scene) => string,
): ImageFiles {
  const files = new ImageFiles(root, description);
  for (const scene of scenes) files.add(scene.name, keyOf(scene));
  return files;
}

function countKey(scene: Scene): string {
  return String(scene.count);
}

function distanceKey({ name, nearest, count: objects }: Scene, path: string): string {
  const place = distanceClass(nearest);
  if (place < THRESHOLDS.length) return String(place);
  throw new PluginError(`${path} has ${objects === 0 ? 'no objects' : `no object nearer than ${nearest}`} in ${name}`, {
    expected: `an object at a distance up to ${THRESHOLDS.at(-1)}`,
    remedy: 'unpack CLEVR_v1.0.zip anew',
  });
}

/** 'test images with 9 objects (12), a number that training lacks' */
function describeDropped(scenes: readonly Scene[]): string[] {
  const counts = [...new Set(scenes.map((scene) => scene.count))].sort((a, b) => a - b);
  return counts.map((objects) => {
    const images = scenes.filter((scene) => scene.count === objects).length;
    return `test images with ${objects} objects (${images}) are left out: a number that training lacks`;
  });
}

const plugin = {
  name: 'clevr',
  summary: 'CLEVR: counting objects, and how far the nearest is',
  dataSets: [count, distance],
} satisfies Plugin;

export default plugin;
