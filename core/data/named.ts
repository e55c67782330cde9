import { quote } from '../base/console.js';
import { UserError, unknownName } from '../base/errors.js';
import { type DataSet, PluginError } from '../plugin.js';

/**
 * The data set that goes by a name.
 * @throws UserError with the nearest name where there is none
 */
export function requireDataSet(name: string, dataSets: readonly DataSet[]): DataSet {
  const found = dataSets.find((dataSet) => dataSet.name === name);
  if (found) return found;
  throw unknownName(
    'data set',
    name,
    dataSets.map((dataSet) => dataSet.name),
  );
}

/**
 * Asks something of a plugin.
 * @throws UserError where the plugin has a problem that the user can mend
 */
export async function askPlugin<T>(ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    throw error instanceof PluginError ? new UserError(error.message, error.advice, { cause: error }) : error;
  }
}

/** Where a data set is to be had and how, for people, as a remedy; where nothing is known of it, undefined. */
export function howToGet({ name, origin }: DataSet, folder: string): string | undefined {
  if (!origin) return undefined;
  const files = origin.files.map(({ url }) => url);
  const terms = origin.terms ? `; ${origin.terms}` : '';
  return files.length > 0
    ? `fetch it with: npx ijepa data download ${name} ${quote(folder)} (${files.join(', ')}; page: ${origin.page}${terms})`
    : `get it from ${origin.page}${terms}; it has no public address from which it could be fetched for you`;
}
