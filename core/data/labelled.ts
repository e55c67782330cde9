import { stat } from 'node:fs/promises';
import { UserError } from '../base/errors.js';
import { systemPath } from '../base/file-names.js';
import type { DataSet, ImageCollection, LabelledData } from '../plugin.js';
import { askPlugin, howToGet } from './named.js';

/** A data set that was opened: with its classes where it has some. */
export interface OpenedDataSet {
  dataSet: DataSet;
  argument: string | null;
  labelled: LabelledData | null;
  images: ImageCollection | null;
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
    if (labelled) return { dataSet, argument, labelled, images: null };
    return { dataSet, argument, labelled: null, images: await askPlugin(() => dataSet.open(argument)) };
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
  const found = (await isThere(place)) ? await askPlugin(() => locate(place)) : null;
  if (found !== null) return found;
  const remedy = howToGet(dataSet, place);
  throw new UserError(`the data set ${dataSet.name} is not in ${place}`, {
    expected: `${dataSet.summary}${dataSet.argument ? ` (${dataSet.argument})` : ''}, in this folder or one below it`,
    ...(remedy && { remedy }),
  });
}

async function isThere(path: string): Promise<boolean> {
  return stat(systemPath(path)).then(
    () => true,
    () => false,
  );
}
