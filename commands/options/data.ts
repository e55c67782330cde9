import {
  automatic,
  flag,
  integer,
  optional,
  positional,
  required,
  text,
  type ValuesOf,
  words,
} from '../../core/config/option.js';
import { DATA_SET_NAME, JSON_AT_END } from './shared.js';

export const INFO_OPTIONS = {
  name: DATA_SET_NAME,
  dir: positional(
    text({
      what: 'folder',
      help: 'the folder in which it lies; for data sets that lie in no folder, what follows their name',
    }),
  ),
  checkAll: flag('read every image, and hold files against their checksums where there are some'),
  sheet: text({ what: 'file', help: 'draw examples of the classes as a picture (PNG)' }),
  force: flag('replace the picture if it is there'),
  json: JSON_AT_END,
};

export const DOWNLOAD_OPTIONS = {
  name: DATA_SET_NAME,
  dir: required(positional(text({ what: 'folder', help: 'the folder; nothing is written outside it' }))),
  mirror: automatic(text({ what: 'URL', help: 'the address of a folder that has the files' }), 'their own addresses'),
  keepArchives: flag('keep archives once they are unpacked'),
  json: JSON_AT_END,
};

export const PACK_OPTIONS = {
  data: required(
    positional(
      words({
        default: [],
        help: 'as for pretrain: folders of images, lists, or a data set with its classes: folder:photos',
      }),
    ),
  ),
  out: required(text({ what: 'folder', help: 'folder for the shards; nothing is written outside it' })),
  resize: optional(
    integer({ default: 1, min: 1, unit: 'pixels', help: 'bring the shorter side of larger images to so many' }),
  ),
  quality: automatic(integer({ default: 95, min: 1, max: 100, help: 'quality of their JPEG' }), '95'),
  imagesPerShard: automatic(integer({ default: 1, min: 1, help: 'images of a shard' }), 'by size'),
  shardMegabytes: automatic(integer({ default: 256, min: 1, unit: 'MB', help: 'size of a shard' }), '256'),
  json: JSON_AT_END,
};

export type InfoOptions = ValuesOf<typeof INFO_OPTIONS>;
export type DownloadOptions = ValuesOf<typeof DOWNLOAD_OPTIONS>;
export type PackOptions = ValuesOf<typeof PACK_OPTIONS>;
