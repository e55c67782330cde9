import { choice, flag, text, type ValuesOf, words } from '../../core/config/option.js';
import { JSON_DOCUMENT } from './shared.js';

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
    help: 'results.json files, or folders to search for them (default: the current folder)',
    positional: true,
  }),
  format: choice({ choices: ['text', 'csv', 'markdown', 'latex'], default: 'text', help: 'how tables are written' }),
  chart: text({ optional: true, what: 'file', help: 'also draw accuracy, and accuracy against compute, as this PNG' }),
  force: flag('replace a chart that is there'),
  json: JSON_DOCUMENT,
};

const ENGINE = choice({ choices: ['onnx', 'tensorflow'], help: 'the engine', positional: true, required: true });

export const ENGINE_INSTALL_OPTIONS = {
  engine: ENGINE,
  from: text({
    what: 'source',
    help:
      'of tensorflow; pypi: out of the wheel of a Python package index (Linux on x86-64); or the path of a libtensorflow ' +
      'folder, archive (.tar.gz) or wheel; own: the installer of the package',
    automatic: 'own',
  }),
  index: text({
    what: 'URL',
    help: 'of tensorflow: the package index',
    automatic: '$PIP_INDEX_URL, or the Python Package Index',
  }),
  platform: words({ spaced: true, help: 'of onnx: whose libraries, such as linux-x64; none: those of this machine' }),
  ifAbsent: flag('of onnx: only where one of them is not there'),
};

export const PLUGIN_CHECK_OPTIONS = {
  plugin: text({ help: 'a package, or the path of a module', positional: true, required: true }),
  data: words({ help: 'data sets of the plugin with what follows their names: photos:folder', positional: true }),
  json: JSON_DOCUMENT,
};

export const JSON_ONLY = { json: JSON_DOCUMENT };
export const ENGINE_REMOVE_OPTIONS = { engine: ENGINE };

export type TablesOptions = ValuesOf<typeof TABLES_OPTIONS>;
export type EngineInstallOptions = ValuesOf<typeof ENGINE_INSTALL_OPTIONS>;
