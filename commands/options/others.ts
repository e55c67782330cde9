import {
  choice,
  flag,
  grouped,
  integer,
  named,
  type Option,
  text,
  type ValuesOf,
  words,
} from '../../core/config/option.js';
import { PREDICTORS } from '../../core/eval/paired.js';

export const JSON_DOCUMENT = flag('print one JSON document');
const JSON_AT_END = flag('end with one JSON document on standard output; everything else goes to standard error');

/** A text that has to be given, by its place. */
export function argument(what: string, help: string): Option<string> {
  return text({ what, help, positional: true, required: true });
}

/** Where the options of runs come from, beside flags. */
const CONFIGURATION_OPTIONS = grouped('Configuration', {
  preset: named({ what: 'a preset', help: 'options to start from; `ijepa methods` lists all', optional: true }),
  config: text({
    what: 'file',
    help: 'configuration file',
    automatic: 'ijepa.config.*, .ijeparc*, or "ijepa" in package.json, in this folder',
  }),
});

export const PRETRAIN_OPTIONS = {
  ...grouped('Run', {
    resume: flag('go on with the run in --out from its newest checkpoint'),
    force: flag('delete the run in --out and start anew'),
    json: JSON_AT_END,
  }),
  ...CONFIGURATION_OPTIONS,
};

export const CONFIG_OPTIONS = {
  ...grouped('Output', {
    json: flag('print values and origins as one JSON document'),
    table: flag('print the tables of all options and presets as Markdown'),
  }),
  ...CONFIGURATION_OPTIONS,
};

export const MASK_PREVIEW_OPTIONS = {
  images: words({
    help: 'image files (a row each), or folders, lists and data sets (some of their images)',
    positional: true,
  }),
  ...grouped('Picture', {
    out: text({ what: 'file', help: 'the PNG to write', required: true }),
    samples: integer({ default: 4, min: 1, max: 64, help: 'rows; image files are used in turn' }),
    step: integer({ default: 1, min: 1, help: 'the training step whose masks are shown' }),
    force: flag('replace a file that is there'),
  }),
  ...CONFIGURATION_OPTIONS,
};

const DATA_SET_NAME = argument('name', 'the name of a data set; `ijepa data` lists them');

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
  dir: argument('folder', 'the folder; nothing is written outside it'),
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

export const RUNS_OPTIONS = {
  folder: text({
    positional: true,
    what: 'folder',
    help: 'folder to search',
    automatic: 'runs where there is one, or the current folder',
  }),
  json: JSON_DOCUMENT,
};

export const TABLES_OPTIONS = {
  results: words({
    help: 'results.json and segmentation.json files, or folders to search for them (default: the current folder)',
    positional: true,
  }),
  format: choice({ choices: ['text', 'csv', 'markdown', 'latex'], default: 'text', help: 'how tables are written' }),
  paired: choice({
    choices: PREDICTORS,
    optional: true,
    help: "in the place of tables McNemar's test of every two networks on the same test images, by their predictions",
  }),
  perClass: choice({
    choices: PREDICTORS,
    optional: true,
    help: 'in the place of tables how many images of each class are named rightly, by these predictions',
  }),
  chart: text({ optional: true, what: 'file', help: 'also draw accuracy, and accuracy against compute, as this PNG' }),
  force: flag('replace a chart that is there'),
  json: JSON_DOCUMENT,
};

/** The engines that can be installed, as the others are part of this program; and what joins machines. */
const INSTALLED = choice({
  choices: ['onnx', 'openvino', 'tensorflow', 'mpi'],
  help: 'the engine, or MPI',
  positional: true,
  required: true,
});

export const ENGINE_INSTALL_OPTIONS = {
  name: INSTALLED,
  from: text({
    what: 'source',
    help:
      'of openvino, tensorflow and mpi; pypi: out of the wheel of a Python package index (tensorflow: Linux on x86-64); or ' +
      "the path of such a wheel, of a folder with OpenVINO's libraries, of a folder with MPICH, of a libtensorflow folder " +
      'or archive (.tar.gz); own: the installer of the package of tensorflow',
    automatic: 'own for tensorflow, pypi for the others',
  }),
  index: text({
    what: 'URL',
    help: 'of openvino, tensorflow and mpi: the package index',
    automatic: '$PIP_INDEX_URL, or the Python Package Index',
  }),
  platform: words({ spaced: true, help: 'of onnx: whose libraries, such as linux-x64; none: those of this machine' }),
  ifAbsent: flag('of onnx, openvino and mpi: only where it is not there'),
};

export const PLUGIN_CHECK_OPTIONS = {
  plugin: argument('path', 'a package, or the path of a module'),
  data: words({ help: 'data sets of the plugin with what follows their names: photos:folder', positional: true }),
  json: JSON_DOCUMENT,
};

export const JSON_ONLY = { json: JSON_DOCUMENT };
export const ENGINE_REMOVE_OPTIONS = { name: INSTALLED };

export type PretrainOptions = ValuesOf<typeof PRETRAIN_OPTIONS>;
export type ConfigOptions = ValuesOf<typeof CONFIG_OPTIONS>;
export type MaskPreviewOptions = ValuesOf<typeof MASK_PREVIEW_OPTIONS>;
export type InfoOptions = ValuesOf<typeof INFO_OPTIONS>;
export type DownloadOptions = ValuesOf<typeof DOWNLOAD_OPTIONS>;
export type PackOptions = ValuesOf<typeof PACK_OPTIONS>;
export type TablesOptions = ValuesOf<typeof TABLES_OPTIONS>;
export type EngineInstallOptions = ValuesOf<typeof ENGINE_INSTALL_OPTIONS>;
