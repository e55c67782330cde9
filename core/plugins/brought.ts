import { fileURLToPath } from 'node:url';
import { reasonOf, UserError, unknownName } from '../base/errors.js';
import type { DataSet, Monitor, Plugin, PredictionLoss, Regularizer } from '../plugin.js';

/** What plugins bring under names, by what it is called in messages. */
interface Kinds {
  'data set': DataSet;
  loss: PredictionLoss;
  regularizer: Regularizer;
  monitor: Monitor;
}
export type Kind = keyof Kinds;

interface BroughtOf<K extends Kind> {
  kind: K;
  item: Kinds[K];
  /** The plugin's name. */
  plugin: string;
}

/** Something that a plugin brought; its kind tells what. */
export type Brought<K extends Kind = Kind> = { [Each in K]: BroughtOf<Each> }[K];

/** Everything that a plugin brings under a name. */
export function broughtBy(plugin: Plugin): Brought[] {
  return [
    ...all('data set', plugin.name, plugin.dataSets),
    ...all('loss', plugin.name, plugin.losses),
    ...all('regularizer', plugin.name, plugin.regularizers),
    ...all('monitor', plugin.name, plugin.monitors),
  ];
}

function all<K extends Kind>(kind: K, plugin: string, items: readonly Kinds[K][] = []): BroughtOf<K>[] {
  return items.map((item) => ({ kind, item, plugin }));
}

/**
 * What goes by a name.
 * @param where who asked for it, for messages
 * @throws UserError with the nearest name and all names where there is none
 */
export function requireBrought<K extends Kind>(
  kind: K,
  name: string,
  plugins: readonly Plugin[],
  { where = '', others = [] }: { where?: string; others?: readonly string[] } = {},
): BroughtOf<K> {
  const all: readonly BroughtOf<Kind>[] = plugins.flatMap(broughtBy);
  const there = all.filter((brought): brought is BroughtOf<K> => brought.kind === kind);
  const found = there.find(({ item }) => item.name === name);
  if (found) return found;
  throw unknownName(kind, name, [...others, ...there.map(({ item }) => item.name)], where);
}

/** A name for it that nothing else has. */
export function labelOf({ kind, item }: Brought): string {
  return `${kind} ${item.name}`;
}

/** What it is, for people. */
export function describeBrought({ kind, item, plugin }: Brought): string {
  return `the ${kind} '${item.name}' of the plugin ${plugin}`;
}

/** Where the program's own code lies, in the lines of a stack. */
const PROGRAM = ['core/', 'commands/', 'bin/'].map((folder) => new URL(`../../${folder}`, import.meta.url).href);

/** What went wrong in a plugin and, where its stack tells, where in its code; in one line. */
export function reasonInPlugin(error: unknown): string {
  const stack = error instanceof Error ? (error.stack ?? '').split('\n') : [];
  const frames = stack.map((line) => /([^\s()]+):(\d+):\d+\)?$/.exec(line) ?? []);
  const [, file, row] = frames.find(([, file]) => file !== undefined && isOfPlugin(file)) ?? [];
  return file === undefined
    ? reasonOf(error)
    : `${reasonOf(error)} (${file.startsWith('file:') ? fileURLToPath(file) : file}, line ${row})`;
}

/** Whether a file is neither of the program, nor of a package, nor of Node. */
function isOfPlugin(file: string): boolean {
  return !PROGRAM.some((folder) => file.startsWith(folder)) && !/^node:|[\\/]node_modules[\\/]/.test(file);
}

/** The error of something that does not do what the contract of plugins says. */
export function failureOf(brought: Brought, problem: string, cause?: unknown): UserError {
  return new UserError(
    `${describeBrought(brought)} ${problem}`,
    {
      expected: 'what core/plugin.ts describes',
      remedy: `correct the plugin, or choose another ${brought.kind}`,
    },
    { cause },
  );
}
