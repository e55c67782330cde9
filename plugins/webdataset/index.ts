import type { DataSet, ImageCollection, LabelledData, LabelledImages, Plugin } from '../../core/plugin.js';
import { PluginError, withShards } from '../../core/plugin.js';

const HOLDS = 'a folder with train-000000.tar ... and val-000000.tar ..., or names of shards with braces';

/** Shards as WebDataset has them: tar archives of images, each with its class in a file '.cls' of the same name. */
const webdataset: DataSet = {
  name: 'webdataset',
  summary: 'your own shards: tar archives of images, with classes in .cls files where there are some',
  argument: 'folder or address of shards, or their names: data/{train,val}-{000000..000146}.tar',
  async open(argument): Promise<ImageCollection> {
    const place = requirePlace(argument);
    return withShards(async ({ find, open }) => open((await find(place)).train, `training shards of ${place}`));
  },
  async openLabelled(argument): Promise<LabelledData | null> {
    const place = requirePlace(argument);
    return withShards(async ({ find, open }) => {
      const { train: trainShards, test: testShards, classes } = await find(place);
      const train = await open(trainShards, `training shards of ${place}`);
      if (!hasClasses(train)) return null;
      if (testShards.length === 0) {
        throw new PluginError(`${place} has classes, but no test shards`, { expected: HOLDS });
      }
      const test = await open(testShards, `test shards of ${place}`);
      const names = classes ?? numbersUpTo(Math.max(largestClass(train), largestClass(test)));
      for (const part of [train, test]) requireClasses(part, names.length);
      return { classes: names, train, test };
    });
  },
  async check(argument, tell, signal) {
    const place = requirePlace(argument);
    return withShards(async ({ check }) => check(place, tell, signal));
  },
};

function requirePlace(argument: string | null): string {
  if (argument !== null && argument !== '') return argument;
  throw new PluginError('webdataset needs the folder in which its shards lie', {
    expected: HOLDS,
    remedy: 'name it after a colon: webdataset:path/to/folder',
  });
}

function hasClasses({ length, classOf }: LabelledImages): boolean {
  for (let index = 0; index < length; index++) if (classOf(index) >= 0) return true;
  return false;
}

function largestClass({ length, classOf }: LabelledImages): number {
  let largest = 0;
  for (let index = 0; index < length; index++) largest = Math.max(largest, classOf(index));
  return largest;
}

function numbersUpTo(last: number): string[] {
  return Array.from({ length: last + 1 }, (_, number) => String(number));
}

/** Every image of labelled data has a class, and one that exists. */
function requireClasses(images: LabelledImages, classes: number): void {
  for (let index = 0; index < images.length; index++) {
    const label = images.classOf(index);
    if (label >= 0 && label < classes) continue;
    throw new PluginError(`${images.item(index).name} has ${label < 0 ? 'no class' : `class ${label} of ${classes}`}`, {
      expected: 'a .cls file beside each image, with the number of its class from 0',
    });
  }
}

const plugin = {
  name: 'webdataset',
  summary: 'Shards of images in tar archives',
  dataSets: [webdataset],
} satisfies Plugin;

export default plugin;
