import { type Command, Option as Flag } from 'commander';
import type { ConfigFile } from '../core/config/file.js';
import { allowedValues, formatValue, GROUPS, type Option, parseValue } from '../core/config/option.js';
import { PRESET_NAMES } from '../core/config/presets.js';
import type { ResolvedOptions } from '../core/config/resolve.js';
import { flagOf, OPTION_NAMES, OPTIONS, type OptionName, REMOVED_OPTIONS } from '../core/config/schema.js';

/** What a command line said, by the names of options, `preset` and `config`. */
export type Flags = Readonly<Record<string, unknown>> & { preset?: string; config?: string };

/** Adds --preset, --config and a flag for every option of the schema, or for those that are named. */
export function addOptionFlags(command: Command, names: readonly OptionName[] = OPTION_NAMES): Command {
  command.optionsGroup('Configuration:');
  command.option('--preset <name>', `start from ${PRESET_NAMES.join(', ')}`);
  command.option(
    '--config <file>',
    'configuration file (default: ijepa.config.*, .ijeparc*, or "ijepa" in package.json, in this folder)',
  );
  for (const group of GROUPS) {
    for (const name of names) {
      const option: Option<unknown> = OPTIONS[name];
      if (option.group !== group || option.kind === 'list') continue;
      const flag = new Flag(`${flagOf(name)} ${placeholder(option)}`, describe(option));
      command.addOption(flag.argParser((word) => parseValue(option, word)).helpGroup(`${group}:`));
    }
  }
  return command;
}

/**
 * Resolves all options from a command's flags, the preset and the configuration file that they name, or that lies in the
 * current folder.
 * @param searches whether to look there where no file is named
 */
export async function resolveFlags(flags: Flags, data: readonly string[], searches = true): Promise<ResolvedOptions> {
  const { readConfigFile } = await import('../core/config/file.js');
  const { resolveOptions } = await import('../core/config/resolve.js');
  const given = Object.fromEntries(
    OPTION_NAMES.filter((name) => flags[name] !== undefined).map((name) => [name, flags[name]]),
  );
  if (data.length > 0) given.data = data;
  const file = flags.config !== undefined || searches ? await readConfigFile(flags.config) : undefined;
  if (file) noteWhatIsPassedOver(file);
  return resolveOptions({ preset: flags.preset, file, flags: given });
}

/** Says what of the configuration, and beside it, has no effect. */
function noteWhatIsPassedOver({ path, removed, others }: ConfigFile): void {
  const note = (text: string) => process.stderr.write(`note: ${text}\n`);
  for (const name of removed) {
    note(`${name} in ${path} is no option any more and is passed over; there is ${REMOVED_OPTIONS[name]}`);
  }
  for (const other of others) note(`${other} is passed over: ${path} is the configuration that is used`);
}

/** An option's line in help: what it is, its unit, values and default. */
export function describe(option: Option<unknown>): string {
  const unit = option.unit ? `, in ${option.unit}` : '';
  return `${option.help} (${allowedValues(option)}${unit}; default ${formatValue(option, option.default)})`;
}

function placeholder(option: Option<unknown>): string {
  const placeholders = { integer: '<n>', number: '<x>', interval: '<from-to>', text: '<path>', list: '<words...>' };
  return option.kind === 'choice' || option.kind === 'name' ? '<name>' : placeholders[option.kind];
}
