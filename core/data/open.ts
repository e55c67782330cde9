import { UserError } from '../base/errors.js';
import type { DataSet, ImageCollection } from '../plugin.js';
import { type ListingOptions, openFolders } from './folder.js';
import { askPlugin } from './named.js';
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
  if (data.length === 0) {
    throw new UserError('no data was named', {
      expected: 'a folder of images, a list of image files (.txt), or the name of a data set',
      remedy: `name one, for example: ijepa pretrain photos/ (data sets: ${dataSets.map(({ name }) => name).join(', ')})`,
    });
  }
  const named = data.filter((word) => findDataSet(word, dataSets));
  if (named.length === 0) return openPlaces(data, listing);
  if (data.length > 1) {
    throw new UserError(`the data set ${named[0]} cannot be mixed with other data`, {
      expected: 'one data set by name, or any number of folders and files',
    });
  }
  const [word] = named as [string];
  return askPlugin(() => (findDataSet(word, dataSets) as DataSet).open(splitName(word)[1]));
}

async function openPlaces(data: readonly string[], listing: ListingOptions): Promise<ImageCollection> {
  const shards: string[] = [];
  for (const word of data) if (await areShards(word)) shards.push(word);
  if (shards.length === 0) return openFolders(data, listing);
  if (shards.length === data.length) return openTrainingShards(shards);
  throw new UserError(`the shards ${shards[0]} cannot be mixed with other data`, {
    expected: 'shards alone, or any number of folders and files',
  });
}

/** The data set that a word names, if it names one. */
export function findDataSet(word: string, dataSets: readonly DataSet[]): DataSet | undefined {
  const [name] = splitName(word);
  return dataSets.find((dataSet) => dataSet.name === name);
}

/** 'shapes:2000' -> ['shapes', '2000'] */
export function splitName(word: string): [string, string | null] {
  const colon = word.indexOf(':');
  return colon < 0 ? [word, null] : [word.slice(0, colon), word.slice(colon + 1)];
}
