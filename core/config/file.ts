import { existsSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { type CosmiconfigResult, cosmiconfig, type Loader } from 'cosmiconfig';
import { explainSystemError, reasonOf, UserError } from '../errors.js';
import { isModulePath } from '../plugins/place.js';
import { withoutRemoved } from './validate.js';
import { parseYaml } from './yaml.js';

/** A configuration file that was found or named. */
export interface ConfigFile {
  path: string;
  preset: string | undefined;
  /** Its other entries, not yet checked. */
  options: Readonly<Record<string, unknown>>;
  /** What it names that once was an option; it is passed over. */
  removed: readonly string[];
}

/**
 * Reads the configuration file that was named, or the one that lies in the current folder: `ijepa.config.*`,
 * `.ijeparc*`, or `ijepa` in package.json.
 *
 * A run's own config.yaml can be named: its section `run`, which records how the run came about, is passed over.
 * @throws UserError if the file cannot be read or is not an object
 */
export async function readConfigFile(path: string | undefined): Promise<ConfigFile | undefined> {
  let found: CosmiconfigResult;
  try {
    const explorer = cosmiconfig('ijepa', {
      searchPlaces: SEARCH_PLACES,
      loaders: { '.yaml': loadYaml, '.yml': loadYaml, noExt: loadYaml },
    });
    found = path === undefined ? await explorer.search() : await explorer.load(path);
  } catch (error) {
    throw readError(error, path ?? fileOf(error));
  }
  if (!found) return undefined;
  const { filepath, config } = found;
  if (found.isEmpty || config === null || typeof config !== 'object' || Array.isArray(config)) {
    throw new UserError(`${filepath} is not a configuration`, {
      expected: 'options by name, for example imageSize: 96',
    });
  }
  const { preset, run: _record, ...given } = config as Record<string, unknown>;
  const { options, removed } = withoutRemoved(given);
  if (preset !== undefined && typeof preset !== 'string') {
    throw new UserError(`preset in ${filepath} is not a name`, { expected: 'the name of a preset' });
  }
  return { path: filepath, preset, options: { ...options, ...pluginsBeside(filepath, options.plugins) }, removed };
}

/** Paths of plugins in a file are relative to its folder; where nothing lies there, to the current one. */
function pluginsBeside(file: string, plugins: unknown): { plugins?: unknown } {
  if (plugins === undefined) return {};
  const place = (word: unknown) => (typeof word === 'string' && isModulePath(word) ? beside(file, word) : word);
  return { plugins: Array.isArray(plugins) ? plugins.map(place) : place(plugins) };
}

function beside(file: string, path: string): string {
  const place = resolve(dirname(file), path);
  return existsSync(place) ? place : resolve(path);
}

/** Where a configuration is looked for in the current folder. */
const SEARCH_PLACES = [
  'package.json',
  ...['yaml', 'yml', 'json', 'js', 'mjs', 'cjs'].map((extension) => `ijepa.config.${extension}`),
  ...['', '.yaml', '.yml', '.json', '.js', '.mjs', '.cjs'].map((extension) => `.ijeparc${extension}`),
];

const loadYaml: Loader = (_path, content) => parseYaml(content);

/** The file that was being read, which cosmiconfig notes on what it throws. */
function fileOf(error: unknown): string {
  return error instanceof Error && 'filepath' in error ? String(error.filepath) : 'the configuration file';
}

function readError(error: unknown, path: string): unknown {
  const explained = explainSystemError(error, path);
  if (explained instanceof UserError || !(error instanceof Error)) return explained;
  return new UserError(`${path} cannot be read as a configuration: ${reasonOf(error)}`, {
    expected: 'YAML, JSON or a JavaScript module',
    remedy: 'correct the file; `ijepa config` prints a complete one',
  });
}
