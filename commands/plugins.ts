import type { MethodDefinition } from '../core/methods/method.js';
import { METHODS } from '../core/methods/registry.js';
import type { DataSet, Plugin } from '../core/plugin.js';
import { type LoadedPlugins, loadPlugins } from '../core/plugins/load.js';
import { BUILT_IN_PLUGINS } from '../plugins/index.js';

/** The data sets of `configuredPlugins`, for commands that have no other options in the configuration. */
export async function configuredDataSets(): Promise<readonly DataSet[]> {
  return (await configuredPlugins()).flatMap((plugin) => plugin.dataSets ?? []);
}

/** The built-in plugins and those that the configuration of the current folder names. */
export async function configuredPlugins(): Promise<readonly Plugin[]> {
  const { readConfigFile } = await import('../core/config/file.js');
  return pluginsWith(pluginNames((await readConfigFile(undefined))?.options.plugins));
}

/** The names of plugins in a value of the option `plugins` that is not yet checked. */
export function pluginNames(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((name) => typeof name === 'string') : [];
}

const loaded = new Map<string, Promise<LoadedPlugins>>();

/**
 * The built-in plugins and those that the user named. One that cannot be used is told on standard error, once, and the
 * program goes on without it.
 * @param names the option `plugins`
 * @throws UserError if two of them bring the same name
 */
export async function pluginsWith(names: readonly string[]): Promise<readonly Plugin[]> {
  const key = names.join('\0');
  const known = loaded.get(key);
  const loading = known ?? loadPlugins(names, BUILT_IN_PLUGINS);
  loaded.set(key, loading);
  const { plugins, problems } = await loading;
  for (const { report } of known ? [] : problems) process.stderr.write(`ijepa: going on without a plugin: ${report}\n`);
  return plugins;
}

/** The program's own methods and those of plugins. */
export function methodsOf(plugins: readonly Plugin[]): readonly MethodDefinition[] {
  return [...METHODS, ...plugins.flatMap(({ methods }) => methods ?? [])];
}
