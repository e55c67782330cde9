import { Argument, Command, Option as Flag } from 'commander';
import {
  allowedValues,
  flagOf,
  formatValue,
  NONE,
  type Option,
  type OptionTable,
  type ValuesOf,
} from '../core/config/option.js';
import { gathered, type ResolvedRun, type RunSources, resolveRun, runFlags, withNames } from './run-sources.js';

/** A command as users see it, and what it does. */
export interface CommandDefinition<Table extends OptionTable = OptionTable> {
  readonly name: string;
  /** One line, for the list of commands. */
  readonly summary: string;
  readonly description?: string;
  readonly options: Table;
  /** Which options of runs it has beside its own. */
  readonly hasRunOption?: (name: string, option: Option<unknown>) => boolean;
  readonly commands?: readonly CommandDefinition[];
  /**
   * Gives the exit code, where that is not 0.
   * @param options a checked value for each option
   * @param resolved options of runs, for commands that have some: from flags, a preset and a configuration file
   */
  run?(options: ValuesOf<Table>, resolved: ResolvedRun): Promise<unknown>;
}

/** Keeps the types of a command's options while it is written. */
export function defineCommand<Table extends OptionTable>(definition: CommandDefinition<Table>): CommandDefinition {
  return definition;
}

/**
 * The command of commander's that a definition describes, with options of runs where it has some.
 * @param finish takes the exit code
 */
export function createCommand(
  definition: CommandDefinition,
  sources: RunSources,
  finish: (exitCode: number) => void,
): Command {
  const { name, summary, description = '', hasRunOption, commands = [] } = definition;
  const options = hasRunOption ? withNames(definition.options, sources) : definition.options;
  const command = new Command(name).summary(summary).description(description);
  const ofRun = runFlags(sources, (name, option) => !(name in options) && hasRunOption?.(name, option) === true);
  const shown = { ...options, ...ofRun.shown };
  for (const [name, option] of Object.entries(shown)) {
    if (option.positional) {
      const word = option.kind === 'words' ? `${name}...` : name;
      command.addArgument(new Argument(option.required ? `<${word}>` : `[${word}]`, option.help));
    } else for (const flag of createFlags(name, option)) command.addOption(flag);
  }
  for (const [name, option] of Object.entries(ofRun.hidden)) {
    for (const flag of createFlags(name, option)) command.addOption(flag.hideHelp());
  }
  for (const subcommand of commands) command.addCommand(createCommand(subcommand, sources, finish));
  if (!definition.run) return command;
  const places = Object.keys(shown).filter((name) => shown[name]?.positional);
  return command.action(async () => {
    const { validateFlags, withDefaults } = await import('../core/config/resolve.js');
    const byPlace = places.map((name, at) => [name, command.processedArgs[at]]);
    const given = { ...command.optsWithGlobals(), ...Object.fromEntries(byPlace) };
    const own = withDefaults(options, validateFlags(pick(given, options), options));
    const flags = pick(given, { ...ofRun.shown, ...ofRun.hidden });
    const resolved = hasRunOption && (await resolveRun(sources, own, flags));
    const exitCode = await definition.run?.(own, resolved as ResolvedRun);
    if (typeof exitCode === 'number') finish(exitCode);
  });
}

/** An option's line in help: what it is, its values, unit and default. */
function describeOption(option: Option<unknown>): string {
  const { kind, help, unit, choices, required, default: usual, automatic } = option;
  if (kind === 'flag') return help;
  const isFree = kind === 'text' || (kind === 'words' && !choices);
  const values = isFree ? [] : [allowedValues(option) + (unit ? `, in ${unit}` : '')];
  const value = formatValue(option, usual);
  const defaults = isFree && value === NONE ? [] : [`default${isFree && automatic ? ':' : ''} ${value}`];
  const facts = [...values, ...(required ? ['required'] : defaults)];
  return facts.length > 0 ? `${help} (${facts.join('; ')})` : help;
}

/** A flag that begins with --no has its opposite beside it, by which a run goes on with what it was started without. */
function createFlags(name: string, option: Option<unknown>): Flag[] {
  const opposite = { ...option, default: false };
  const isNegated = flagOf(name, option) !== flagOf(name, opposite);
  return [...(isNegated ? [createFlag(name, opposite).hideHelp()] : []), createFlag(name, option)];
}

function createFlag(name: string, option: Option<unknown>): Flag {
  const { kind, group, required, spaced } = option;
  const words = `${flagOf(name, option)}${kind === 'flag' ? '' : ` ${placeholderOf(option)}`}`;
  const flag = new Flag(words, describeOption(option)).makeOptionMandatory(required === true);
  if (group) flag.helpGroup(`${group}:`);
  return kind === 'words' && !spaced ? gathered(flag) : flag;
}

function placeholderOf({ kind, what, spaced }: Option<unknown>): string {
  if (kind === 'text') return `<${(what ?? 'path').replaceAll(' ', '-')}>`;
  if (kind === 'words') return `<${what ?? 'names'}${spaced ? '...' : ''}>`;
  return { integer: '<n>', number: '<x>', interval: '<from-to>', choice: '<name>', name: '<name>', flag: '' }[kind];
}

/** The values that were given of the options of a table. */
function pick(given: Readonly<Record<string, unknown>>, table: OptionTable): Readonly<Record<string, unknown>> {
  const isGiven = (value: unknown) => value !== undefined && !(Array.isArray(value) && value.length === 0);
  return Object.fromEntries(Object.entries(given).filter(([name, value]) => name in table && isGiven(value)));
}
