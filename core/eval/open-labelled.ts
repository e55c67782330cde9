import { findDataSet, splitName } from '../data/open.js';
import { UserError } from '../errors.js';
import { type DataSet, type LabelledData, PluginError } from '../plugin.js';

/** Labelled data, and the data set that opened them. */
export interface OpenedData {
  dataSet: DataSet;
  data: LabelledData;
}

/** The data set that takes any folder with a folder for each class. */
const FOLDER = 'folder';

/**
 * Opens labelled data by the name of a data set (`shapes`, `cifar100:DIR`), or as a folder: with
 * `{train,val}/CLASS/image` below it.
 * @throws UserError if there is no such thing, it has no labels, or it is damaged
 */
export async function openLabelled(word: string, dataSets: readonly DataSet[]): Promise<OpenedData> {
  const named = findDataSet(word, dataSets);
  const dataSet = named ?? dataSets.find(({ name }) => name === FOLDER);
  if (!dataSet?.openLabelled) {
    throw new UserError(`${word} has no labels to evaluate with`, {
      expected: `a folder with train/CLASS and val/CLASS below it, or a data set out of ${labelledNames(dataSets)}`,
    });
  }
  const argument = named ? splitName(word)[1] : word;
  try {
    return { dataSet, data: await dataSet.openLabelled(argument) };
  } catch (error) {
    throw error instanceof PluginError ? new UserError(error.message, error.advice, { cause: error }) : error;
  }
}

function labelledNames(dataSets: readonly DataSet[]): string {
  return dataSets
    .filter(({ openLabelled }) => openLabelled)
    .map(({ name }) => name)
    .join(', ');
}
