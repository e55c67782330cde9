import { flag, integer, text, type ValuesOf, words } from '../../core/config/option.js';
import { DATA_SET_NAME, JSON_AT_END } from './shared.js';

export const INFO_OPTIONS = {
  name: DATA_SET_NAME,
  dir: text({
    optional: true,
    what: 'folder',
    help: 'the folder in which it lies; for data sets that lie in no folder, what follows their name',
    positional: true,
  }),
  checkAll: flag('read every image, and hold files against their checksums where there are some'),
  sheet: text({ optional: true, what: 'file', help: 'draw examples of the classes as a picture (PNG)' }),
  force: flag('replace the picture if it is there'),
  json: JSON_AT_END,
};

export const DOWNLOAD_OPTIONS = {
  name: DATA_SET_NAME,
  dir: text({ what: 'folder', help: 'the folder; nothing is written outside it', positional: true, required: true }),
  mirror: text({ what: 'URL', help: 'the address of a folder that has the files', automatic: 'their own addresses' }),
  keepArchives: flag('keep archives once they are unpacked'),
  json: JSON_AT_END,
};

export const PACK_OPTIONS = {
  data: words({
    help: 'as for pretrain: folders of images, lists, or a data set with its classes: folder:photos',
    positional: true,
    required: true,
  }),
  out: text({ what: 'folder', help: 'folder for the shards; nothing is written outside it', required: true }),
  resize: integer({
    min: 1,
    unit: 'pixels',
    help: 'bring the shorter side of larger images to so many',
    optional: true,
  }),
  quality: integer({ min: 1, max: 100, help: 'quality of their JPEG', automatic: '95' }),
  imagesPerShard: integer({ min: 1, help: 'images of a shard', automatic: 'by size' }),
  shardMegabytes: integer({ min: 1, unit: 'MB', help: 'size of a shard', automatic: '256' }),
  json: JSON_AT_END,
};

export type InfoOptions = ValuesOf<typeof INFO_OPTIONS>;
export type DownloadOptions = ValuesOf<typeof DOWNLOAD_OPTIONS>;
export type PackOptions = ValuesOf<typeof PACK_OPTIONS>;
