import { Command } from 'commander';
import type { DataSet, Plugin } from '../core/plugin.js';
import { loadPlugins } from '../core/plugins/load.js';
import { BUILT_IN_PLUGINS } from '../plugins/index.js';

/** The data sets of the built-in plugins and of those that the user named. */
export async function dataSetsWith(names: readonly string[]): Promise<readonly DataSet[]> {
  return (await pluginsWith(names)).flatMap((plugin) => plugin.dataSets ?? []);
}

/** The subcommands of the plugins that the configuration of the current folder names. */
export async function pluginCommands(): Promise<readonly Command[]> {
  const plugins = await pluginsWith(await configuredNames());
  return plugins.flatMap((plugin) => plugin.commands?.((name) => new Command(name)) ?? []);
}

/**
 * The data sets of the built-in plugins and of those that the configuration of the current folder names, for commands
 * that have no other options in it.
 */
export async function configuredDataSets(): Promise<readonly DataSet[]> {
  return dataSetsWith(await configuredNames());
}

async function configuredNames(): Promise<string[]> {
  const { readConfigFile } = await import('../core/config/file.js');
  const names = (await readConfigFile(undefined))?.options.plugins;
  return Array.isArray(names) ? names.filter((name) => typeof name === 'string') : [];
}

/**
 * The built-in plugins and those that the user named. One that cannot be used is told on standard error, and the program
 * goes on without it.
 * @param names the option `plugins`
 * @throws UserError if two of them bring the same name
 */
export async function pluginsWith(names: readonly string[]): Promise<readonly Plugin[]> {
  const { plugins, problems } = await loadPlugins(names, BUILT_IN_PLUGINS);
  for (const problem of problems) process.stderr.write(`ijepa: going on without a plugin: ${problem.report}\n`);
  return plugins;
}
