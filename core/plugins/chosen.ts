import { UserError } from '../base/errors.js';
import { NONE } from '../config/option.js';
import type { OptionName, Options } from '../config/schema.js';
import type { Plugin } from '../plugin.js';
import { type Brought, broughtBy, labelOf, requireBrought } from './brought.js';

/** What the options of a run choose among what plugins bring. */
export interface Chosen {
  loss: Brought<'loss'>;
  regularizer: Brought<'regularizer'> | null;
  monitors: readonly Brought<'monitor'>[];
}

type Choosing = Pick<Options, 'loss' | 'regularizer' | 'monitors'>;

/**
 * @param whereOf where an option's value was given, for messages
 * @throws UserError with the nearest name where there is none of that name
 */
export function choose(
  { loss, regularizer, monitors }: Choosing,
  plugins: readonly Plugin[],
  whereOf: (option: OptionName) => string = () => '',
): Chosen {
  return {
    loss: requireBrought('loss', loss, plugins, { where: whereOf('loss') }),
    regularizer:
      regularizer === NONE
        ? null
        : requireBrought('regularizer', regularizer, plugins, { where: whereOf('regularizer'), others: [NONE] }),
    monitors: [...new Set(monitors)].map((name) =>
      requireBrought('monitor', name, plugins, { where: whereOf('monitors') }),
    ),
  };
}

/** Which plugin brought what was chosen, for a run's record: { 'loss l2': 'objectives' }. */
export function recordOf({ loss, regularizer, monitors }: Chosen): Record<string, string> {
  const chosen: Brought[] = [loss, ...(regularizer ? [regularizer] : []), ...monitors];
  return Object.fromEntries(chosen.map((brought) => [labelOf(brought), brought.plugin]));
}

/**
 * Sees to it that what a run was made of is still there, from the same plugins.
 * @param recorded what `recordOf` gave
 * @throws UserError that names what is missing and the plugin that brought it
 */
export function requireRecorded(
  recorded: Readonly<Record<string, string>>,
  options: Choosing & Pick<Options, 'plugins'>,
  plugins: readonly Plugin[],
): void {
  const there = new Map(plugins.flatMap(broughtBy).map((brought) => [labelOf(brought), brought.plugin]));
  const needed = [`loss ${options.loss}`, `regularizer ${options.regularizer}`].concat(
    options.monitors.map((name) => `monitor ${name}`),
  );
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
