import { unknownName } from '../base/errors.js';
import type { DataSet } from '../contract/data-sets.js';
import type { ExtensionOf } from '../contract/extension.js';
import type { Monitor } from '../contract/monitors.js';
import type { PredictionLoss, Regularizer } from '../contract/objectives.js';
import type { MethodDefinition } from '../methods/method.js';
import type { Plugin } from './plugin.js';

/** What plugins bring under names, by what it is called in messages. */
interface Kinds {
  'data set': DataSet;
  loss: PredictionLoss;
  regularizer: Regularizer;
  monitor: Monitor;
  method: MethodDefinition;
}
export type ExtensionKind = keyof Kinds;

/** Something that a plugin brought; its kind tells what. */
export type Extension<K extends ExtensionKind = ExtensionKind> = { [Each in K]: ExtensionOf<Each, Kinds[Each]> }[K];

/** Everything that a plugin brings under a name. */
export function extensionsOf(plugin: Plugin): Extension[] {
  return [
    ...all('data set', plugin.name, plugin.dataSets),
    ...all('loss', plugin.name, plugin.losses),
    ...all('regularizer', plugin.name, plugin.regularizers),
    ...all('monitor', plugin.name, plugin.monitors),
    ...all('method', plugin.name, plugin.methods),
  ];
}

function all<K extends ExtensionKind>(
  kind: K,
  plugin: string,
  items: readonly Kinds[K][] = [],
): ExtensionOf<K, Kinds[K]>[] {
  return items.map((item) => ({ kind, item, plugin }));
}

/**
 * What goes by a name.
 * @param where who asked for it, for messages
 * @throws UserError with the nearest name and all names where there is none
 */
export function findExtension<K extends ExtensionKind>(
  kind: K,
  name: string,
  plugins: readonly Plugin[],
  { where = '', others = [] }: { where?: string; others?: readonly string[] } = {},
): ExtensionOf<K, Kinds[K]> {
  const all: readonly ExtensionOf<ExtensionKind, Kinds[ExtensionKind]>[] = plugins.flatMap(extensionsOf);
  const there = all.filter((extension): extension is ExtensionOf<K, Kinds[K]> => extension.kind === kind);
  const found = there.find(({ item }) => item.name === name);
  if (found) return found;
  throw unknownName(kind, name, [...others, ...there.map(({ item }) => item.name)], where);
}
