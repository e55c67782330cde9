import type { DataSet, Plugin } from '../core/plugin.js';
import shapes from './shapes/index.js';

/** The plugins that come with the program. */
export const BUILT_IN_PLUGINS: readonly Plugin[] = [shapes];

/** All their data sets. */
export const DATA_SETS: readonly DataSet[] = BUILT_IN_PLUGINS.flatMap((plugin) => plugin.dataSets ?? []);
