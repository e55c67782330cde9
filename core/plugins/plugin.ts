import type { Command } from 'commander';
import { unknownName } from '../base/errors.js';
import type { DataSet } from '../contract/data-sets.js';
import type { ExtensionOf } from '../contract/extension.js';
import type { Monitor } from '../contract/monitors.js';
import type { PredictionLoss, Regularizer } from '../contract/objectives.js';
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
  monitor: 'monitors',
  method: 'methods',
} as const satisfies Record<string, keyof Plugin>;
type Kind = keyof typeof LISTS;
type Item<K extends Kind> = NonNullable<Plugin[(typeof LISTS)[K]]>[number];

/** Something that a plugin brought; its kind tells what. */
export type Extension<K extends Kind = Kind> = { [Each in K]: ExtensionOf<Each, Item<Each>> }[K];

/** Everything that a plugin brings under a name. */
export function extensionsOf(plugin: Plugin): Extension[] {
  return (Object.keys(LISTS) as Kind[]).flatMap((kind) => listed(kind, plugin) as Extension[]);
}

function listed<K extends Kind>(kind: K, plugin: Plugin): ExtensionOf<K, Item<K>>[] {
  const items = (plugin[LISTS[kind]] ?? []) as readonly Item<K>[];
  return items.map((item) => ({ kind, item, plugin: plugin.name }));
}

/**
 * What goes by a name.
 * @param where who asked for it, for messages
 * @throws UserError with the nearest name and all names where there is none
 */
export function findExtension<K extends Kind>(
  kind: K,
  name: string,
  plugins: readonly Plugin[],
  { where = '', others = [] }: { where?: string; others?: readonly string[] } = {},
): ExtensionOf<K, Item<K>> {
  const there = plugins.flatMap((plugin) => listed(kind, plugin));
  const found = there.find(({ item }) => item.name === name);
  if (found) return found;
  throw unknownName(kind, name, [...others, ...there.map(({ item }) => item.name)], where);
}
