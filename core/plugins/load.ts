import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { reasonOf, UserError } from '../base/errors.js';
import { textOf } from '../base/text.js';
import { isModulePath } from '../config/file.js';
import { labelOf } from '../contract/extension.js';
import { contractProblem } from './contract.js';
import { extensionsOf, type Plugin } from './plugin.js';

/** The plugins that can be used, the built-in ones first, and what is wrong with the others. */
export type LoadedPlugins = Awaited<ReturnType<typeof loadPlugins>>;

/**
 * Loads the plugins that a user named, beside the built-in ones.
 * @param names packages, or paths of modules
 * @param folder from where packages and paths are seen
 * @throws UserError if two plugins bring the same name
 */
export async function loadPlugins(
  names: readonly string[],
  builtIn: readonly Plugin[],
  folder: string = process.cwd(),
): Promise<{ plugins: readonly Plugin[]; problems: readonly UserError[] }> {
  const loaded = builtIn.map((plugin) => ({ plugin, from: 'the program itself' }));
  const problems: UserError[] = [];
  for (const name of new Set(names)) {
    try {
      loaded.push({ plugin: await loadPlugin(name, folder), from: name });
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      problems.push(error);
    }
  }
  refuseSameNames(loaded);
  return { plugins: loaded.map(({ plugin }) => plugin), problems };
}

/**
 * Loads one plugin and holds it against the contract.
 * @throws UserError that names the plugin
 */
export async function loadPlugin(name: string, folder: string = process.cwd()): Promise<Plugin> {
  let value: unknown;
  try {
    ({ default: value } = await import(pathToFileURL(moduleFile(name, folder)).href));
  } catch (error) {
    throw new UserError(
      `the plugin ${name} cannot be loaded: ${reasonOf(error)}`,
      {
        expected: 'a package that is installed here, or the path of a JavaScript module',
        remedy: 'install or correct it, or take it out of plugins',
      },
      { cause: error },
    );
  }
  const problem = contractProblem(value);
  if (problem === null) return value as Plugin;
  throw new UserError(`the plugin ${name} does not keep to the contract: ${problem}`, {
    expected: 'a default export as core/plugin.ts describes it',
    remedy: 'correct it (plugins/_template shows a whole one), or take it out of plugins',
  });
}

function refuseSameNames(loaded: readonly { plugin: Plugin; from: string }[]): void {
  const brought = new Map<string, string>();
  for (const { plugin, from } of loaded) {
    for (const name of [`plugin ${plugin.name}`, ...extensionsOf(plugin).map(labelOf)]) {
      const other = brought.get(name);
      if (other !== undefined) {
        throw new UserError(`the ${name} comes twice: from ${other} and from ${from}`, {
          expected: 'plugins with names of their own',
          remedy: 'rename it, or take one of them out of plugins',
        });
      }
      brought.set(name, from);
    }
  }
}

/**
 * The file of a plugin: a module's path, or the entry of a package as seen from a folder.
 * @throws Error if there is none
 */
function moduleFile(name: string, folder: string): string {
  const { resolve: find } = createRequire(join(folder, 'index.js'));
  if (isModulePath(name)) return find(resolve(folder, name));
  try {
    return find(name);
  } catch (error) {
    const entries = (find.paths(name) ?? []).map((path) => importedEntry(join(path, name)));
    const entry = entries.find((file) => file !== undefined);
    if (entry === undefined) throw error;
    return entry;
  }
}

/** The entry of a package that can only be imported, which `require.resolve` does not find. */
function importedEntry(packageFolder: string): string | undefined {
  try {
    const text = textOf(readFileSync(join(packageFolder, 'package.json')), packageFolder);
    const entry = entryOf(JSON.parse(text).exports);
    return entry && join(packageFolder, entry);
  } catch {
    return undefined; // no package, or none that can be read
  }
}

/** What `exports` of a package.json gives to `import`. */
function entryOf(exports: unknown): string | undefined {
  if (typeof exports === 'string') return exports;
  if (exports === null || typeof exports !== 'object') return undefined;
  const conditions = Object.entries(exports);
  return entryOf(conditions.find(([condition]) => ['.', 'import', 'node', 'default'].includes(condition))?.[1]);
}
