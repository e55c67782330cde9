import type { Command } from 'commander';
import { UserError, unknownName } from '../base/errors.js';
import { mapValues } from '../base/map-values.js';
import { NONE } from '../config/option.js';
import type { Options } from '../config/schema.js';
import type { DataSet } from '../contract/data-sets.js';
import { type ExtensionOf, labelOf } from '../contract/extension.js';
import type { Monitor } from '../contract/monitors.js';
import type { PredictionLoss, Regularizer, Tokenizer } from '../contract/objectives.js';
import type { MethodDefinition } from '../methods/method.js';

/**
 * What a plugin may bring to the program; `core/contract` and `core/methods/method.ts` say it piece by piece. A plugin is a
 * module whose default export is a `Plugin`; the built-in ones in `plugins/` use nothing else of the program but what
 * `core/plugin.ts` exports. `plugins: [...]` in a configuration file names others: packages, or paths of modules.
 */
export interface Plugin {
  /** Name of the plugin, in lower case. */
  name: string;
  /** What it brings, in one line for people. */
  summary: string;
  dataSets?: readonly DataSet[];
  /** What can be trained for: `--loss` and `--regularizer` choose by name. */
  losses?: readonly PredictionLoss[];
  regularizers?: readonly Regularizer[];
  /** Discrete targets for methods that can have them: `--tokenizer` chooses by name. */
  tokenizers?: readonly Tokenizer[];
  /** Self-supervised methods: `--method` chooses by name. */
  methods?: readonly MethodDefinition[];
  /** What can observe a run: the option `monitors` names them. */
  monitors?: readonly Monitor[];
  /** Subcommands of its own, made with `create`; a built-in one of the same name goes before. */
  commands?: (create: (name: string) => Command) => readonly Command[];
}

/** What plugins bring under names, by what it is called in messages, and where they have it. */
const LISTS = {
  'data set': 'dataSets',
  loss: 'losses',
  regularizer: 'regularizers',
  tokenizer: 'tokenizers',
  monitor: 'monitors',
  method: 'methods',
} as const satisfies Record<string, keyof Plugin>;
type Kind = keyof typeof LISTS;
type Item<K extends Kind> = NonNullable<Plugin[(typeof LISTS)[K]]>[number];

/** Something that a plugin brought; its kind tells what. */
export type Extension<K extends Kind = Kind> = { [Each in K]: ExtensionOf<Each, Item<Each>> }[K];

/** Everything that a plugin brings under a name. */
export function extensionsOf(plugin: Plugin): Extension[] {
  return (Object.keys(LISTS) as Kind[]).flatMap((kind) =>
    (plugin[LISTS[kind]] ?? []).map((item) => ({ kind, item, plugin: plugin.name }) as Extension),
  );
}

/**
 * What goes by a name.
 * @param where who asked for it, for messages
 * @param others names that are no extensions, but may be given too
 * @throws UserError with the nearest name and all names where there is none
 */
export function findExtension<K extends Kind>(
  kind: K,
  name: string,
  plugins: readonly Plugin[],
  where = '',
  others: readonly string[] = [],
): Extension<K> {
  const there = plugins.flatMap(extensionsOf).filter((extension) => extension.kind === kind);
  const found = there.find(({ item }) => item.name === name);
  if (found) return found as Extension<K>;
  throw unknownName(kind, name, [...others, ...there.map(({ item }) => item.name)], where);
}

export type SelectedPlugins = ReturnType<typeof selectPlugins>;

/**
 * What the options of a run name of what plugins bring: extensions of the method, by the names that it asks for, and monitors.
 * @param whereOf where an option's value was given, for messages
 * @throws UserError with the nearest name where there is none of that name
 */
export function selectPlugins(
  method: Pick<MethodDefinition, 'extensions'>,
  options: Options,
  plugins: readonly Plugin[],
  whereOf: (option: string) => string = () => '',
) {
  const monitors = [...new Set(options.monitors)];
  return {
    extensions: mapValues(method.extensions?.(options) ?? {}, (request) => {
      if (!request) return null;
      const { kind, name, option, none } = request;
      return findExtension(kind, name, plugins, whereOf(option), none ? [NONE] : []);
    }),
    monitors: monitors.map((name) => findExtension('monitor', name, plugins, whereOf('monitors'))),
  };
}

/** Which plugin brought what was selected, for a run's record: { 'loss l2': 'objectives' }. */
export function recordOf({ extensions, monitors }: SelectedPlugins): Record<string, string> {
  const selected = [...Object.values(extensions).filter((extension) => extension !== null), ...monitors];
  return Object.fromEntries(selected.map((extension) => [labelOf(extension), extension.plugin]));
}

/**
 * Sees to it that what a run was made of is still there, from the same plugins.
 * @param recorded what `recordOf` gave
 * @throws UserError that names what is missing and the plugin that brought it
 */
export function requireRecorded(
  recorded: Readonly<Record<string, string>>,
  method: Pick<MethodDefinition, 'extensions'>,
  options: Options,
  plugins: readonly Plugin[],
): void {
  const there = new Map(plugins.flatMap(extensionsOf).map((extension) => [labelOf(extension), extension.plugin]));
  const requests = Object.values(method.extensions?.(options) ?? {}).filter((request) => request !== null);
  const monitors = options.monitors.map((name) => ({ kind: 'monitor', name }));
  const needed = [...requests, ...monitors].map(({ kind, name }) => `${kind} ${name}`);
  const missing = needed.find((label) => recorded[label] !== undefined && recorded[label] !== there.get(label));
  if (missing === undefined) return;
  throw new UserError(
    `the run was started with the ${missing} of the plugin ${recorded[missing]}, which is not there`,
    {
      expected: `the plugins that the run was started with (plugins: ${options.plugins.join(', ') || 'none'})`,
      remedy: 'put it back, or name where it is now: plugins: [...] in a file that --config names',
    },
  );
}
