import { automatic, choice, flag, positional, required, text, type ValuesOf, words } from '../../core/config/option.js';
import { JSON_DOCUMENT } from './shared.js';

export const RUNS_OPTIONS = {
  folder: automatic(
    positional(text({ what: 'folder', help: 'folder to search' })),
    'runs where there is one, or the current folder',
  ),
  json: JSON_DOCUMENT,
};

export const TABLES_OPTIONS = {
  results: positional(
    words({ default: [], help: 'results.json files, or folders to search for them (default: the current folder)' }),
  ),
  format: choice({ choices: ['text', 'csv', 'markdown', 'latex'], default: 'text', help: 'how tables are written' }),
  chart: text({ what: 'file', help: 'also draw accuracy, and accuracy against compute, as this PNG' }),
  force: flag('replace a chart that is there'),
  json: JSON_DOCUMENT,
};

const ENGINE = required(positional(choice({ choices: ['onnx', 'tensorflow'], default: 'onnx', help: 'the engine' })));

export const ENGINE_INSTALL_OPTIONS = {
  engine: ENGINE,
  from: automatic(
    text({
      what: 'source',
      help:
        'of tensorflow; pypi: out of the wheel of a Python package index (Linux on x86-64); or the path of a libtensorflow ' +
        'folder, archive (.tar.gz) or wheel; own: the installer of the package',
    }),
    'own',
  ),
  index: automatic(
    text({ what: 'URL', help: 'of tensorflow: the package index' }),
    '$PIP_INDEX_URL, or the Python Package Index',
  ),
  platform: words({
    default: [],
    spaced: true,
    help: 'of onnx: whose libraries, such as linux-x64; none: those of this machine',
  }),
  ifAbsent: flag('of onnx: only where one of them is not there'),
};

export const PLUGIN_CHECK_OPTIONS = {
  plugin: required(positional(text({ help: 'a package, or the path of a module' }))),
  data: positional(
    words({ default: [], help: 'data sets of the plugin with what follows their names: photos:folder' }),
  ),
  json: JSON_DOCUMENT,
};

export const JSON_ONLY = { json: JSON_DOCUMENT };
export const ENGINE_REMOVE_OPTIONS = { engine: ENGINE };

export type TablesOptions = ValuesOf<typeof TABLES_OPTIONS>;
export type EngineInstallOptions = ValuesOf<typeof ENGINE_INSTALL_OPTIONS>;
