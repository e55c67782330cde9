import { fileURLToPath } from 'node:url';
import { reasonOf, UserError } from '../base/errors.js';

/** Something that a plugin brought under a name. */
export interface ExtensionOf<Kind extends string, Item extends { name: string }> {
  readonly kind: Kind;
  readonly item: Item;
  /** The plugin's name. */
  readonly plugin: string;
}
type AnyExtension = ExtensionOf<string, { name: string }>;

/** A name for it that nothing else has. */
export function labelOf({ kind, item }: AnyExtension): string {
  return `${kind} ${item.name}`;
}

/** What it is, for people. */
export function describeExtension({ kind, item, plugin }: AnyExtension): string {
  return `the ${kind} '${item.name}' of the plugin ${plugin}`;
}

/** Where the program's own code lies, in the lines of a stack: compiled, or as source where there are source maps. */
const PROGRAM = ['../..', '../../..'].flatMap((root) =>
  ['core', 'commands', 'bin'].map((folder) => fileURLToPath(new URL(`${root}/${folder}/`, import.meta.url))),
);

/** What went wrong in a plugin and, where its stack tells, where in its code; in one line. */
export function reasonInPlugin(error: unknown): string {
  const stack = error instanceof Error ? (error.stack ?? '').split('\n') : [];
  for (const line of stack) {
    const [, place = '', row] = /([^\s()]+):(\d+):\d+\)?$/.exec(line) ?? [];
    const file = place.startsWith('file:') ? fileURLToPath(place) : place;
    const isNoPlugin = PROGRAM.some((folder) => file.startsWith(folder)) || /^node:|[\\/]node_modules[\\/]/.test(file);
    if (file !== '' && !isNoPlugin) return `${reasonOf(error)} (${file}, line ${row})`;
  }
  return reasonOf(error);
}

/** The error of something that does not do what the contract of plugins says. */
export function failureOf(extension: AnyExtension, problem: string, cause?: unknown): UserError {
  return new UserError(
    `${describeExtension(extension)} ${problem}`,
    {
      expected: 'what core/plugin.ts describes',
      remedy: `correct the plugin, or choose another ${extension.kind}`,
    },
    { cause },
  );
}

/** A problem that the user can mend, as plugins say it: what is wrong, what was expected, what to do. */
export class PluginError extends UserError {
  /** A plugin may bring a copy of this class, or throw any Error of that name. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    return value instanceof Error && ['PluginError', 'UserError'].includes(value.name);
  }
}
