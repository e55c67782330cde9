import { UserError } from '../base/errors.js';
import { PROGRAM } from '../base/program.js';
import type { DataSet, ImageCollection } from '../contract/data-sets.js';
import { askPlugin, findDataSet, splitName } from './data-set.js';
import { openFolders } from './folder.js';
import type { ListingOptions } from './listing/kept.js';
import { areShards } from './shards/find.js';
import { openTrainingShards } from './shards/open.js';

/**
 * Opens what the user named as data: data sets by name (`shapes`, `shapes:2000`), folders, lists and files, or shards.
 * A path that has the name of a data set is written with its folder: ./shapes.
 * @param dataSets those of all plugins
 * @param listing how folders are listed
 */
export async function openData(
  data: readonly string[],
  dataSets: readonly DataSet[],
  listing: ListingOptions = {},
): Promise<ImageCollection> {
  const [first] = data;
  if (first === undefined) {
    throw new UserError('no data was named', {
      expected: 'a folder of images, a list of image files (.txt), or the name of a data set',
      remedy: `name one, for example: ${PROGRAM} pretrain photos/ (data sets: ${dataSets.map(({ name }) => name).join(', ')})`,
    });
  }
  const named = data.find((word) => findDataSet(word, dataSets));
  if (named !== undefined && data.length > 1) {
    throw new UserError(`the data set ${named} cannot be mixed with other data`, {
      expected: 'one data set by name, or any number of folders and files',
    });
  }
  const dataSet = findDataSet(first, dataSets);
  if (dataSet) return askPlugin(() => dataSet.open(splitName(first)[1]));
  const shards: string[] = [];
  for (const word of data) if (await areShards(word)) shards.push(word);
  if (shards.length === 0) return openFolders(data, listing);
  if (shards.length === data.length) return openTrainingShards(shards);
  throw new UserError(`the shards ${shards[0]} cannot be mixed with other data`, {
    expected: 'shards alone, or any number of folders and files',
  });
}
