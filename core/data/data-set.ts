import { stat } from 'node:fs/promises';
import { quote } from '../base/console.js';
import { UserError, unknownName } from '../base/errors.js';
import { systemPath } from '../base/file-names.js';
import { PROGRAM } from '../base/program.js';
import type { DataSet, ImageCollection, LabelledData } from '../contract/data-sets.js';
import { PluginError } from '../contract/extension.js';

/** A data set that was opened: with its classes where it has some. */
export interface OpenedDataSet {
  dataSet: DataSet;
  argument: string | null;
  labelled: LabelledData | null;
  images: ImageCollection | null;
}

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
  const [name] = splitName(word);
  return dataSets.find((dataSet) => dataSet.name === name);
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
export async function openDataSet(dataSet: DataSet, place: string | null): Promise<OpenedDataSet> {
  const argument = await argumentOf(dataSet, place);
  const openLabelled = dataSet.openLabelled?.bind(dataSet);
  try {
    const labelled = openLabelled ? await askPlugin(() => openLabelled(argument)) : null;
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
  const locate = dataSet.locate?.bind(dataSet);
  if (!locate || place === null) return place;
  const isThere = (await stat(systemPath(place)).catch(() => null)) !== null;
  const found = isThere ? await askPlugin(() => locate(place)) : null;
  if (found !== null) return found;
  const remedy = howToGet(dataSet, place);
  throw new UserError(`the data set ${dataSet.name} is not in ${place}`, {
    expected: `${dataSet.summary}${dataSet.argument ? ` (${dataSet.argument})` : ''}, in this folder or one below it`,
    ...(remedy && { remedy }),
  });
}
