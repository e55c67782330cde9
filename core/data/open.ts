import { stat } from 'node:fs/promises';
import { quote } from '../base/console.js';
import { UserError, unknownName } from '../base/errors.js';
import { systemPath } from '../base/file-names.js';
import { PROGRAM } from '../base/program.js';
import type { DataSet, ImageCollection } from '../contract/data-sets.js';
import { PluginError } from '../contract/extension.js';
import { openFolders } from './folder.js';
import type { ListingOptions } from './listing/kept.js';
import { areShards } from './shards/find.js';
import { openTrainingShards } from './shards/open.js';

/**
 * Opens what the user named as data: data sets by name (`shapes`, `shapes:2000`), folders, lists and files, or shards.
 * A path that has the name of a data set is written with its folder: ./shapes.
 * @param dataSets those of all plugins
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

/** A data set that was opened: with its classes where it has some. */
export type OpenedDataSet = Awaited<ReturnType<typeof openDataSet>>;

/**
 * The data set that goes by a name.
 * @throws UserError with the nearest name where there is none
 */
export function requireDataSet(name: string, dataSets: readonly DataSet[]): DataSet {
  const found = dataSets.find((dataSet) => dataSet.name === name);
  if (found) return found;
  const names = dataSets.map((dataSet) => dataSet.name);
  throw unknownName('data set', name, names);
}

/** The data set that a word names, if it names one. */
export function findDataSet(word: string, dataSets: readonly DataSet[]): DataSet | undefined {
  return dataSets.find(({ name }) => name === splitName(word)[0]);
}

/** 'shapes:2000' -> ['shapes', '2000'] */
export function splitName(word: string): [string, string | null] {
  const colon = word.indexOf(':');
  return colon < 0 ? [word, null] : [word.slice(0, colon), word.slice(colon + 1)];
}

/**
 * Asks something of a plugin.
 * @throws UserError where the plugin has a problem that the user can mend
 */
export async function askPlugin<T>(ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof UserError || !(error instanceof PluginError)) throw error;
    throw new UserError(error.message, error.advice, { cause: error }); // of another copy of the class
  }
}

/** Where a data set is to be had and how, for people, as a remedy; where nothing is known of it, undefined. */
export function howToGet({ name, origin }: DataSet, folder: string): string | undefined {
  if (!origin) return undefined;
  const files = origin.files.map(({ url }) => url);
  const terms = origin.terms ? `; ${origin.terms}` : '';
  return files.length > 0
    ? `fetch it with: npx ${PROGRAM} data download ${name} ${quote(folder)} (${files.join(', ')}; page: ${origin.page}${terms})`
    : `get it from ${origin.page}${terms}; it has no public address from which it could be fetched for you`;
}

/**
 * Opens a data set, labelled where it can be.
 * @param place the folder in which it lies, at any depth that it knows; for data sets that lie in no folder, their argument
 * @throws UserError with where to get it, if it is not there
 */
export async function openDataSet(dataSet: DataSet, place: string | null) {
  const argument = await argumentOf(dataSet, place);
  try {
    const labelled = await askPlugin(async () => (await dataSet.openLabelled?.(argument)) ?? null);
    const images = labelled ? null : await askPlugin(() => dataSet.open(argument));
    return { dataSet, argument, labelled, images };
  } catch (error) {
    // Without a folder the plugin can only say that it needs one; where to get it is said here.
    if (!(error instanceof UserError) || place !== null) throw error;
    const remedy = [error.advice.remedy, howToGet(dataSet, 'FOLDER')].filter(Boolean).join('; or ');
    throw new UserError(error.message, { ...error.advice, ...(remedy && { remedy }) }, { cause: error });
  }
}

async function argumentOf(dataSet: DataSet, place: string | null): Promise<string | null> {
  if (!dataSet.locate || place === null) return place;
  const isThere = (await stat(systemPath(place)).catch(() => null)) !== null;
  const found = isThere ? await askPlugin(async () => dataSet.locate?.(place) ?? null) : null;
  if (found !== null) return found;
  const remedy = howToGet(dataSet, place);
  throw new UserError(`the data set ${dataSet.name} is not in ${place}`, {
    expected: `${dataSet.summary}${dataSet.argument ? ` (${dataSet.argument})` : ''}, in this folder or one below it`,
    ...(remedy && { remedy }),
  });
}
