import type { DataSet, ImageCollection, LabelledData, Plugin } from '../../core/plugin.js';
import { PluginError, shownName, withShards } from '../../core/plugin.js';
import { hasClasses, withClasses } from './classes.js';

const HOLDS = 'a folder with train-000000.tar ... and val-000000.tar ..., or names of shards with braces';

/** Shards as WebDataset has them: tar archives of images, each with its class in a file '.cls' of the same name. */
const webdataset: DataSet = {
  name: 'webdataset',
  summary: 'your own shards: tar archives of images, with classes in .cls files where there are some',
  argument: 'folder or address of shards, or their names: data/{train,val}-{000000..000146}.tar',
  async open(argument): Promise<ImageCollection> {
    const place = requirePlace(argument);
    return withShards(async ({ find, open }) => {
      const { train, notes } = await find(place);
      return open(train, `training shards of ${shownName(place)}`, {}, notes);
    });
  },
  async openLabelled(argument): Promise<LabelledData | null> {
    const place = requirePlace(argument);
    return withShards(async ({ find, open }) => {
      const { train: trainShards, test: testShards, classes, notes } = await find(place);
      const train = await open(trainShards, `training shards of ${shownName(place)}`, {}, notes);
      if (!hasClasses(train)) return null;
      const test = testShards.length > 0 ? await open(testShards, `test shards of ${shownName(place)}`) : null;
      const named = withClasses(train, test, classes);
      const noTest = test ? [] : ['there are no shards for validation or testing'];
      return { ...named, notes: [...(train.notes ?? []), ...(test?.notes ?? []), ...named.notes, ...noTest] };
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

const plugin = {
  name: 'webdataset',
  summary: 'Shards of images in tar archives',
  dataSets: [webdataset],
} satisfies Plugin;

export default plugin;
