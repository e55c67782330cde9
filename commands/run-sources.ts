import { readdirSync } from 'node:fs';
import { Command, Option as Flag } from 'commander';
import { attempt } from '../core/base/errors.js';
import { mapValues } from '../core/base/map-values.js';
import { PROGRAM } from '../core/base/program.js';
import { chooseMethod } from '../core/config/choose-method.js';
import type { ConfigFile } from '../core/config/file.js';
import { type Option, type OptionTable, readWords } from '../core/config/option.js';
import type { ResolvedOptions } from '../core/config/resolve.js';
import { schemaOf } from '../core/config/schema.js';
import type { MethodDefinition } from '../core/methods/method.js';
import { METHODS } from '../core/methods/registry.js';

/** Options of a run, resolved. */
export type ResolvedRun = ResolvedOptions<MethodDefinition>;

/**
 * What options of runs come from beside flags. It is read before the command line is, because it decides which flags there
 * are: those of the method, which a plugin may bring.
 */
export interface RunSources {
  /** The first is the usual one. */
  methods: readonly MethodDefinition[];
  /** The one that the command line asks for. */
  method: MethodDefinition;
  file?: ConfigFile | undefined;
}

/** The program's own methods, without any file. */
export const OWN_SOURCES: RunSources = { methods: METHODS, method: METHODS[0] };

/**
 * Reads the configuration file and the plugins that the words of a command line name, or the file that lies in the current
 * folder. A run that goes on has its own options; those of the current folder are for new runs.
 * @throws UserError if one of them cannot be read
 */
export async function readSources(words: readonly string[]): Promise<RunSources> {
  const { config, resume = false, out, plugins, ...flags } = scan(words);
  const isRead = config !== undefined || (!resume && mayBeConfigured());
  if (!isRead && !resume && plugins === undefined) return { ...OWN_SOURCES, method: methodOf(METHODS, flags) };
  const { readConfigFile } = await import('../core/config/file.js');
  const file = isRead ? await readConfigFile(config) : undefined;
  const recorded = resume ? await recordedRun(out ?? file?.options.out) : undefined;
  const named = plugins === undefined ? (file ?? recorded)?.options.plugins : await namesOfFlag(plugins);
  const methods = named === undefined ? METHODS : await methodsWith(named);
  const usual = methods.find(({ name }) => name === recorded?.options.method);
  const ordered = usual ? [usual, ...methods.filter((method) => method !== usual)] : methods;
  return { methods: ordered, method: methodOf(ordered, flags, file), file };
}

/** The flags for options of runs: shown in help, the method's own first; and those of other methods, which are understood. */
export function runFlags(
  sources: RunSources,
  isThere: (name: string, option: Option<unknown>) => boolean,
): { shown: OptionTable; hidden: OptionTable } {
  const { methods, method } = sources;
  const schema = schemaOf(method);
  const group = `${method.title} (--method ${method.name})`;
  const shown = Object.entries(schema)
    .filter(([name, option]) => isThere(name, option))
    .map(([name, option]) => [name, name in method.options ? { ...option, group } : option]);
  const hidden = methods
    .flatMap(({ options }) => Object.entries(options))
    .filter(([name, option]) => !(name in schema) && isThere(name, option));
  return { shown: withNames(Object.fromEntries(shown), sources), hidden: Object.fromEntries(hidden) };
}

/** Options that name a method or a preset, with the names that there are for help. */
export function withNames(table: OptionTable, { methods, method }: RunSources): OptionTable {
  const named: Readonly<Record<string, Partial<Option<unknown>>>> = {
    method: { default: methods[0]?.name, choices: methods.map(({ name }) => name) },
    preset: { choices: Object.keys(method.presets) },
  };
  return mapValues(table, (option, name) => ({ ...option, ...named[name] }));
}

/**
 * Resolves the options of a run.
 * @param own of the command: where it has `preset`, options start from that
 */
export async function resolveRun(
  { methods, file }: RunSources,
  own: Readonly<Record<string, unknown>>,
  flags: Readonly<Record<string, unknown>>,
): Promise<ResolvedRun> {
  const { resolveOptions } = await import('../core/config/resolve.js');
  for (const other of file?.others ?? []) {
    process.stderr.write(`note: ${other} is passed over: ${file?.path} is the configuration that is used\n`);
  }
  const plugins = typeof flags.plugins === 'string' && { plugins: await namesOfFlag(flags.plugins) };
  const preset = typeof own.preset === 'string' ? own.preset : undefined;
  return resolveOptions({ methods, preset, file, flags: { ...flags, ...plugins } });
}

/** What of a command line decides which options of runs there are. */
function scan(words: readonly string[]) {
  const command = new Command().exitOverride().configureOutput({ writeErr: () => {} });
  for (const name of ['config', 'out', 'method', 'preset']) command.option(`--${name} <word>`);
  command.addOption(gathered(new Flag('--plugins <names>'))).option('--resume');
  attempt(() => command.parseOptions([...words]), null); // a flag without its value is told when all of them are read
  return command.opts<
    Partial<Record<'config' | 'out' | 'method' | 'preset' | 'plugins', string>> & { resume?: true }
  >();
}

/** A flag for words with commas between, which are gathered where it is given twice. */
export function gathered(flag: Flag): Flag {
  return flag.argParser((word, before?: string) => (before ? `${before},${word}` : word));
}

function mayBeConfigured(): boolean {
  const isConfiguration = (name: string) =>
    name === 'package.json' || name.startsWith(`${PROGRAM}.config.`) || name.startsWith(`.${PROGRAM}rc`);
  return attempt(() => readdirSync('.').some(isConfiguration), false); // not looked for where nothing can be listed
}

/** What the run in a folder says of itself, as far as it can be read: what is wrong with it is told when it goes on. */
async function recordedRun(out: unknown): Promise<ConfigFile | undefined> {
  if (typeof out !== 'string') return undefined;
  const { readConfigFile } = await import('../core/config/file.js');
  const { runFolder } = await import('../core/run/run-folder.js');
  return readConfigFile(runFolder(out).config).catch(() => undefined);
}

async function methodsWith(plugins: unknown): Promise<readonly MethodDefinition[]> {
  const { methodsOf, pluginNames, pluginsWith } = await import('./plugins.js');
  return methodsOf(await pluginsWith(pluginNames(plugins)));
}

/** The method to be shown; a name that is wrong is told when options are resolved. */
function methodOf(methods: RunSources['methods'], given: { preset?: string; method?: string }, file?: ConfigFile) {
  const { preset, ...flags } = given;
  return attempt(() => chooseMethod({ methods, preset, file, flags }), methods[0]);
}

/** The names of the option `plugins` as its flag has them; paths are seen from the current folder. */
async function namesOfFlag(words: string): Promise<readonly string[]> {
  const { pathBeside } = await import('../core/config/file.js');
  return readWords(words).map((name) => pathBeside('.', name));
}
