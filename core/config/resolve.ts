import { UserError } from '../base/errors.js';
import { chooseMethod, type FoundPreset, findPreset, type OptionSources } from './choose-method.js';
import { flagOf, type Option, type OptionTable } from './option.js';
import { type MethodOptions, type Options, schemaOf } from './schema.js';
import { type GivenOptions, validateFlags, validateOptions } from './validate.js';

/** Options with a value each, and where each value comes from, for people. */
export interface ResolvedOptions<M extends MethodOptions = MethodOptions> {
  method: M;
  schema: OptionTable;
  options: Options;
  origins: Readonly<Record<string, string>>;
}

/**
 * Resolves every option: defaults, then those of the method, the preset, the configuration file, flags.
 * @throws UserError for an unknown method, preset or option, an option of another method, or a value that is not allowed
 */
export function resolveOptions<M extends MethodOptions>(sources: OptionSources<M>): ResolvedOptions<M> {
  const { methods, file, flags } = sources;
  const method = chooseMethod(sources);
  const schema = schemaOf(method);
  const preset = findPreset(sources);
  refuseOthers(flags, '', method, methods);
  if (file) refuseOthers(file.options, file.path, method, methods);

  const layers: { origin: string; values: GivenOptions }[] = [];
  if (preset) layers.push({ origin: `preset ${preset.name}`, values: fitting(preset, method, schema) });
  if (file) layers.push({ origin: file.path, values: validateOptions(file.options, file.path, schema) });
  layers.push({ origin: 'flag', values: validateFlags(flags, schema) });

  const options: Record<string, unknown> = {};
  const origins: Record<string, string> = {};
  for (const [name, option] of Object.entries(schema)) {
    const layer = layers.findLast(({ values }) => values[name] !== undefined);
    options[name] = layer ? layer.values[name] : option.default;
    origins[name] = layer ? layer.origin : 'default';
  }
  return { method, schema, options: { ...options, method: method.name } as Options, origins };
}

/** Where an option's value was given, for messages; empty where it is the default. */
export function placeOf({ origins }: Pick<ResolvedOptions, 'origins'>, name: string): string {
  const origin = origins[name];
  if (origin === undefined || origin === 'default') return '';
  return origin === 'flag' ? 'the command line' : origin;
}

/** What a preset says of the options that there are: those of another method have none of its own. */
function fitting<M extends MethodOptions>(preset: FoundPreset<M>, chosen: M, schema: OptionTable): GivenOptions {
  const { method, values } = preset;
  if (method === chosen) return values;
  return Object.fromEntries(Object.entries(values).filter(([name]) => name in schema && !(name in method.options)));
}

/** Options that the run's method does not have, but others do. */
function refuseOthers(
  given: GivenOptions,
  where: string,
  chosen: MethodOptions,
  methods: readonly MethodOptions[],
): void {
  const schema = schemaOf(chosen);
  for (const name of Object.keys(given).filter((name) => !Object.hasOwn(schema, name))) {
    const others = methods.filter(({ options }) => Object.hasOwn(options, name));
    const [other] = others;
    if (!other) continue;
    const flag = flagOf(name, other.options[name] as Option<unknown>);
    const names = others.map((method) => method.name).join(', ');
    throw new UserError(
      `${where === '' ? flag : `${name} (${flag}) in ${where}`} is an option of the ` +
        `method${others.length > 1 ? 's' : ''} ${names}; this run's method is ${chosen.name}`,
      {
        expected: `options of ${chosen.name}: ${Object.keys(chosen.options).join(', ')}; and those of all methods`,
        remedy: `leave it out, or choose the method: --method ${other.name}`,
      },
    );
  }
}
