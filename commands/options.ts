import { type Command, Option as Flag } from 'commander';
import type { ConfigFile } from '../core/config/file.js';
import { allowedValues, formatValue, GROUPS, type Option } from '../core/config/option.js';
import type { ResolvedOptions } from '../core/config/resolve.js';
import { flagOf, REMOVED_OPTIONS, type Schema, schemaOf } from '../core/config/schema.js';
import type { MethodDefinition } from '../core/methods/method.js';
import { METHODS } from '../core/methods/registry.js';

/** What a command line said, by the names of options, `preset` and `config`. */
export type Flags = Readonly<Record<string, unknown>> & { preset?: string; config?: string };

/**
 * Adds --preset, --config and a flag for every option, those of the method that the command line names first. Flags of
 * other methods are understood, but not shown.
 * @param isShown which options there are, by name
 */
export function addOptionFlags(
  command: Command,
  isShown: (name: string, option: Option<unknown>) => boolean = () => true,
  methods: readonly MethodDefinition[] = METHODS,
): Command {
  const shown = methodOfHelp(methods);
  const presets = methods.flatMap((method) => Object.keys(method.presets));
  command.optionsGroup('Configuration:');
  command.option('--preset <name>', `start from ${presets.join(', ')}`);
  command.option(
    '--config <file>',
    'configuration file (default: ijepa.config.*, .ijeparc*, or "ijepa" in package.json, in this folder)',
  );
  const schema = schemaOf(shown);
  for (const group of GROUPS) {
    for (const [name, option] of Object.entries(schema)) {
      if (option.group !== group || option.kind === 'list' || !isShown(name, option)) continue;
      command.addOption(new Flag(`${flagOf(name)} ${placeholder(option)}`, describe(option)).helpGroup(`${group}:`));
    }
  }
  const hidden: Schema = Object.assign({}, ...methods.map(({ options }) => options));
  for (const [name, option] of Object.entries(hidden)) {
    if (name in schema || !isShown(name, option)) continue;
    command.addOption(new Flag(`${flagOf(name)} ${placeholder(option)}`).hideHelp());
  }
  return command;
}

/** The method that the command line names, or whose preset it does. */
function methodOfHelp(methods: readonly MethodDefinition[]): MethodDefinition {
  const wordAfter = (flag: string) => {
    const at = process.argv.findIndex((word) => word === flag || word.startsWith(`${flag}=`));
    const word = process.argv[at] ?? '';
    return word === flag ? process.argv[at + 1] : word.slice(flag.length + 1);
  };
  const [name, preset] = [wordAfter('--method'), wordAfter('--preset') ?? ''];
  const found =
    methods.find((method) => method.name === name) ?? methods.find(({ presets }) => Object.hasOwn(presets, preset));
  return found ?? (methods[0] as MethodDefinition);
}

/**
 * Resolves all options from a command's flags, the preset and the configuration file that they name, or that lies in the
 * current folder.
 * @param searches whether to look there where no file is named
 */
export async function resolveFlags(
  flags: Flags,
  data: readonly string[],
  searches = true,
): Promise<ResolvedOptions<MethodDefinition>> {
  const { readConfigFile } = await import('../core/config/file.js');
  const { resolveOptions } = await import('../core/config/resolve.js');
  const file = flags.config !== undefined || searches ? await readConfigFile(flags.config) : undefined;
  if (file) noteWhatIsPassedOver(file);
  const methods = METHODS;
  const names = new Set(methods.flatMap((method) => Object.keys(schemaOf(method))));
  const given = Object.entries(flags).filter(([name, value]) => names.has(name) && value !== undefined);
  const options = Object.fromEntries(data.length > 0 ? [...given, ['data', data]] : given);
  return resolveOptions({ methods, preset: flags.preset, file, flags: options });
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
