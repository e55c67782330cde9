import { spawnSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { access, constants, readdir, realpath } from 'node:fs/promises';
import { homedir } from 'node:os';
import { basename, dirname, extname, isAbsolute, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { CosmiconfigResult, PublicExplorer } from 'cosmiconfig';
import { type Document, isScalar, Lexer, Parser, parseDocument, visit } from 'yaml';
import { attempt, explainSystemError, reasonOf, UserError } from '../base/errors.js';
import { PROGRAM } from '../base/program.js';
import { describePlace, parseJson, readText } from '../base/text.js';
import { readWords } from './option.js';

/** A configuration file that was found or named. */
export interface ConfigFile {
  path: string;
  preset: string | undefined;
  /** Its other entries, not yet checked. */
  options: Readonly<Record<string, unknown>>;
  /** Other files that could be meant, which are passed over for this one. */
  others: readonly string[];
}

/** Most bytes of a configuration: about what a command line can hold, which is recorded in one. */
export const LARGEST_CONFIGURATION = 2 ** 21;
/** Nesting of collections, about; the parser's recursion would end the process where it is a few thousand. */
const DEEPEST = 100;
/** What a file holds that has nothing but null in it, which would otherwise be passed over as if it were not there. */
const NOTHING = 'null';
/** Milliseconds that finding a module's error may take. */
const LONGEST_CHECK = 10_000;
/** Extensions of the forms that are read, as they are looked for; TypeScript where Node itself reads it. */
const READ = ['.yaml', '.yml', '.json', '.js', '.mjs', '.cjs', '.ts', '.mts', '.cts'];
/** Extensions of usual forms that are not. */
const NOT_READ = ['.toml', '.json5', '.jsonc', '.hjson', '.ini', '.xml'];
/** Where a configuration is looked for in the current folder, the first first. */
const PLACES = [
  'package.json',
  ...[...READ, ...NOT_READ].map((extension) => `${PROGRAM}.config${extension}`),
  ...['', ...READ, ...NOT_READ].map((extension) => `.${PROGRAM}rc${extension}`),
];

/** A folder in which no file of cosmiconfig's own settings lies. */
const OWN_FOLDER = fileURLToPath(new URL('.', import.meta.url));

/**
 * Reads the configuration file that was named, or the one that lies in the current folder: `NAME.config.*`, `.NAMErc*`, or
 * `NAME` in package.json, where NAME is the program's.
 *
 * A run's own config.yaml can be named: its section `run`, which records how the run came about, is passed over.
 * @throws UserError if the file cannot be read, is of a form that is not, or is not an object
 */
export async function readConfigFile(path: string | undefined): Promise<ConfigFile | undefined> {
  if (path !== undefined) {
    await loadConfiguration(path); // what cannot be read says so here, before anything waits for a pipe
    return configOf(await (await explorerOf([])).load(path), path, []);
  }
  const names = new Set(await readdir('.').catch(() => [])); // where nothing can be listed, nothing is looked for
  const places = PLACES.filter((name) => names.has(name) && attempt(() => statSync(name).isFile(), false));
  if (places.length === 0) return undefined;
  for (const name of places) {
    await access(name, constants.R_OK).catch((error: unknown) => {
      throw explainSystemError(error, resolve(name));
    });
  }
  const found = await (await explorerOf(places)).search();
  if (!found) return undefined;
  return configOf(found, found.filepath, places.slice(places.indexOf(basename(found.filepath)) + 1));
}

function configOf(found: CosmiconfigResult, path: string, others: readonly string[]): ConfigFile {
  return { ...configFrom(found?.config, resolve(path)), others: others.map((name) => resolve(name)) };
}

/**
 * The options that a file holds.
 * @throws UserError if they are none
 */
export function configFrom(content: unknown, file: string): Omit<ConfigFile, 'others'> {
  if (content === null || typeof content !== 'object' || Array.isArray(content)) {
    throw new UserError(`${file} is not a configuration`, { expected: 'options by name, for example imageSize: 96' });
  }
  const { preset, run: _record, ...options } = content as Record<string, unknown>;
  if (preset !== undefined && typeof preset !== 'string') {
    throw new UserError(`preset in ${file} is not a name`, { expected: 'the name of a preset' });
  }
  return {
    path: file,
    preset,
    options: 'plugins' in options ? { ...options, plugins: pluginsBeside(file, options.plugins) } : options,
  };
}

/**
 * cosmiconfig, which looks for one of `searchPlaces` in the current folder and for nothing else.
 *
 * It asks for the home folder as soon as it is imported, and there may be none; and it reads settings of its own from the
 * current folder when it is made, where the files of other projects may be damaged or do anything.
 */
async function explorerOf(searchPlaces: string[]): Promise<PublicExplorer> {
  const isHomeless = attempt(homedir, '') === ''; // no HOME, and a user whom the system does not know
  if (isHomeless) process.env.HOME = OWN_FOLDER;
  const { cosmiconfig } = await import('cosmiconfig').finally(() => isHomeless && delete process.env.HOME);
  // It takes 'noExt' for none and 'default' for others.
  const loaders = Object.fromEntries([...READ, 'noExt', 'default'].map((extension) => [extension, loadConfiguration]));
  const here = process.cwd();
  process.chdir(OWN_FOLDER);
  try {
    return cosmiconfig(PROGRAM, { searchPlaces, loaders, cache: false });
  } finally {
    process.chdir(here);
  }
}

/**
 * What a file of YAML, JSON or a module holds; undefined for an empty one.
 * @throws UserError if it cannot be read, or is of a form that is not
 */
export async function loadConfiguration(path: string): Promise<unknown> {
  const extension = extname(basename(path));
  const file = resolve(path);
  if (!['', ...READ].includes(extension)) throw notRead(file, extension);
  try {
    const text = await readText(file, LARGEST_CONFIGURATION);
    if (/^\.[cm]?[jt]s$/.test(extension)) return await loadModule(file, extension);
    if (text.trim() === '') return undefined;
    return (extension === '.json' ? parseJson(text) : parseYaml(text)) ?? NOTHING;
  } catch (error) {
    const explained = explainSystemError(error, file);
    if (explained instanceof UserError || !(error instanceof Error)) throw explained;
    throw new UserError(`${file} cannot be read as a configuration: ${reasonOf(error)}`, {
      expected: 'YAML, JSON or a module',
      remedy: `correct the file; \`${PROGRAM} config\` prints a complete one`,
    });
  }
}

async function loadModule(path: string, extension: string): Promise<unknown> {
  const { typescript } = process.features as { typescript?: unknown }; // true from Node 22.18 on
  if (extension.endsWith('ts') && !typescript) throw notRead(path, extension);
  const real = await realpath(path);
  try {
    const { default: content } = (await import(pathToFileURL(real).href)) as { default?: unknown };
    return content ?? NOTHING;
  } catch (error) {
    const place = placeIn(real, error);
    throw error instanceof Error && place !== '' ? new Error(reasonOf(error) + place, { cause: error }) : error;
  }
}

/** Where in a module an error came up: ', line 3, column 5'. An error of syntax does not say; Node's own check does. */
function placeIn(path: string, error: unknown): string {
  const stack = error instanceof Error ? (error.stack ?? '').slice(error.message.length) : '';
  const named = [path, pathToFileURL(path).href].find((name) => stack.includes(name)) ?? path;
  const [, line, column] = /^:(\d+):(\d+)/.exec(stack.slice(stack.indexOf(named) + named.length)) ?? [];
  if (line !== undefined) return `, line ${line}, column ${column}`;
  if (!(error instanceof SyntaxError)) return '';
  const { stderr } = spawnSync(process.execPath, ['--check', path], { encoding: 'utf8', timeout: LONGEST_CHECK });
  const [, checked, before] = /:(\d+)\n(?:.*\n( *)\^)?/.exec(stderr ?? '') ?? [];
  if (checked === undefined) return '';
  return `, line ${checked}${before === undefined ? '' : `, column ${before.length + 1}`}`;
}

function notRead(path: string, extension: string): UserError {
  const isTypeScript = READ.includes(extension);
  const why = isTypeScript ? `Node ${process.versions.node} does not run TypeScript` : `the form ${extension} is not`;
  return new UserError(`${path} is not read: ${why}`, {
    expected:
      'YAML (.yaml, .yml, or none), JSON (.json) or a module (.js, .mjs, .cjs; .ts, .mts, .cts from Node 22.18 on)',
    remedy: isTypeScript
      ? `rename it to ${extension.replace('t', 'j')} and leave types out, or use a later Node`
      : `write it in one of them: \`${PROGRAM} config\` prints a complete one in YAML`,
  });
}

/** Paths of plugins in a file are relative to its folder; where nothing lies there, to the current one. */
function pluginsBeside(file: string, given: unknown): unknown {
  const plugins: unknown = typeof given === 'string' ? readWords(given) : given;
  if (!Array.isArray(plugins)) return plugins;
  return plugins.map((word: unknown) => (typeof word === 'string' ? pathBeside(dirname(file), word) : word));
}

/** The path of a module as seen from a folder, or from the current one where nothing lies there; other names stay. */
export function pathBeside(folder: string, name: string): string {
  if (!isModulePath(name)) return name;
  const path = resolve(folder, name);
  return existsSync(path) ? path : resolve(name);
}

/** Whether the name of a plugin is a path: ./mine.js, /plugins/mine, mine.mjs. Anything else is a package. */
export function isModulePath(name: string): boolean {
  return /^\.{1,2}(?:[\\/]|$)/.test(name) || isAbsolute(name) || ['.js', '.mjs', '.cjs'].includes(extname(name));
}

/**
 * Reads YAML. One parser reads and writes all YAML of this program; what would keep it busy for hours, or break it, is
 * refused before.
 * @throws Error with the reason if it is none, too large or too deep, or has keys that are no words, or the same one twice
 */
export function parseYaml(text: string): unknown {
  if (text.length > LARGEST_CONFIGURATION) throw new Error(`it has more than ${LARGEST_CONFIGURATION} bytes`);
  checkDepth(text);
  // The parser's own comparison of keys, and its picture of each error, take time that grows with the square of the text.
  const document = parseDocument(text, { logLevel: 'error', uniqueKeys: false, prettyErrors: false });
  const [error] = document.errors;
  if (error) throw new Error(error.message + describePlace(text, error.pos[0]));
  checkKeys(document, text);
  return document.toJS();
}

function checkDepth(text: string): void {
  const parser = new Parser();
  for (const word of new Lexer().lex(text)) {
    for (const _token of parser.next(word)); // makes it go on
    if (parser.stack.length > DEEPEST) throw new Error('it is nested too deeply');
  }
}

function checkKeys(document: Document, text: string): void {
  visit(document, {
    Map(_, map) {
      const keys = new Set<unknown>();
      for (const { key } of map.items) {
        if (!isScalar(key)) throw new Error('a key is not a word');
        if (keys.has(key.value)) {
          throw new Error(`it has ${key.value} twice${key.range ? describePlace(text, key.range[0]) : ''}`);
        }
        keys.add(key.value);
      }
    },
  });
}
