import type { Plugin } from '../core/plugin.js';
import shapes from './shapes/index.js';

/** The plugins that come with the program. */
export const BUILT_IN_PLUGINS: readonly Plugin[] = [shapes];
