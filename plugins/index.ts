import type { DataSet, Plugin } from '../core/plugin.js';
import cifar100 from './cifar100/index.js';
import clevr from './clevr/index.js';
import collapse from './collapse/index.js';
import folder from './folder/index.js';
import imagenet from './imagenet/index.js';
import inat18 from './inat18/index.js';
import objectives from './objectives/index.js';
import places205 from './places205/index.js';
import shapes from './shapes/index.js';
import spectrum from './spectrum/index.js';
import webdataset from './webdataset/index.js';

/** The plugins that come with the program; where a folder fits several, the first is meant. */
export const BUILT_IN_PLUGINS: readonly Plugin[] = [
  shapes,
  cifar100,
  places205,
  inat18,
  clevr,
  imagenet,
  folder,
  webdataset,
  objectives,
  collapse,
  spectrum,
];

/** All their data sets. */
export const DATA_SETS: readonly DataSet[] = BUILT_IN_PLUGINS.flatMap((plugin) => plugin.dataSets ?? []);
