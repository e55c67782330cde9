import { UserError } from '../base/errors.js';
import { NONE } from '../config/option.js';
import type { Options } from '../config/schema.js';
import { labelOf } from '../contract/extension.js';
import type { MethodDefinition, MethodExtension } from '../methods/method.js';
import { type Extension, extensionsOf, findExtension, type Plugin } from './plugin.js';

/** What the options of a run name of what plugins bring. */
export interface SelectedPlugins {
  /** Of the method, by the names that it asks for. */
  extensions: Readonly<Record<string, MethodExtension | null>>;
  monitors: readonly Extension<'monitor'>[];
}

/**
 * @param whereOf where an option's value was given, for messages
 * @throws UserError with the nearest name where there is none of that name
 */
export function selectPlugins(
  method: Pick<MethodDefinition, 'extensions'>,
  options: Options,
  plugins: readonly Plugin[],
  whereOf: (option: string) => string = () => '',
): SelectedPlugins {
  const requests = Object.entries(method.extensions?.(options) ?? {});
  const extensions = requests.map(([name, request]) => {
    if (!request) return [name, null];
    return [
      name,
      findExtension(request.kind, request.name, plugins, {
        where: whereOf(request.option),
        others: request.none ? [NONE] : [],
      }),
    ];
  });
  return {
    extensions: Object.fromEntries(extensions),
    monitors: [...new Set(options.monitors)].map((name) =>
      findExtension('monitor', name, plugins, { where: whereOf('monitors') }),
    ),
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
  const needed = [
    ...requests.map(({ kind, name }) => `${kind} ${name}`),
    ...options.monitors.map((name) => `monitor ${name}`),
  ];
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
