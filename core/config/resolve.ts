import { unknownName } from '../base/errors.js';
import type { ConfigFile } from './file.js';
import { parseValue } from './option.js';
import { type MethodOptions, type Options, type Schema, schemaOf } from './schema.js';
import { type GivenOptions, validateOptions } from './validate.js';

/** Options with a value each, and where each value comes from, for people. */
export interface ResolvedOptions<M extends MethodOptions = MethodOptions> {
  method: M;
  schema: Schema;
  options: Options;
  origins: Readonly<Record<string, string>>;
}

const COMMAND_LINE = 'the command line';
const PRESET = 'preset ';

/** What can give options, from weakest to strongest. */
export interface OptionSources<M extends MethodOptions = MethodOptions> {
  /** The first is the usual one. */
  methods: readonly M[];
  preset?: string | undefined;
  file?: Pick<ConfigFile, 'path' | 'preset' | 'options'> | undefined;
  flags: GivenOptions;
}

/**
 * Resolves every option: defaults, then those of the method, the preset, the configuration file, flags. The method is the
 * one that is named, or that of the preset.
 * @throws UserError for an unknown method, preset or option, or a value that is not allowed
 */
export function resolveOptions<M extends MethodOptions>({
  methods,
  preset,
  file,
  flags,
}: OptionSources<M>): ResolvedOptions<M> {
  const presetName = preset ?? file?.preset;
  const presetPlace = preset === undefined && file ? file.path : '';
  const brought = presetName === undefined ? null : findPreset(methods, presetName, presetPlace);
  const named = [
    { value: flags.method, where: '' },
    { value: file?.options.method, where: file?.path ?? '' },
  ].find(({ value }) => value !== undefined);
  const method = named ? findMethod(methods, String(named.value), named.where) : (brought?.method ?? (methods[0] as M));
  const schema = schemaOf(method);

  const layers: { origin: string; values: GivenOptions }[] = [];
  if (brought) layers.push({ origin: PRESET + presetName, values: fitting(brought, method, schema) });
  if (file) layers.push({ origin: file.path, values: validateOptions(file.options, file.path, schema) });
  layers.push({ origin: 'flag', values: validateOptions(parsed(flags, schema), COMMAND_LINE, schema) });

  const options: Record<string, unknown> = {};
  const origins: Record<string, string> = {};
  for (const [name, option] of Object.entries(schema)) {
    const layer = layers.findLast(({ values }) => values[name] !== undefined);
    options[name] = layer ? layer.values[name] : option.default;
    origins[name] = layer ? layer.origin : 'default';
  }
  return { method, schema, options: { ...options, method: method.name } as unknown as Options, origins };
}

/** Flags are words; numbers and intervals are read from them. */
function parsed(flags: GivenOptions, schema: Schema): GivenOptions {
  const read = ([name, value]: [string, unknown]) => {
    const option = schema[name];
    return [name, option && typeof value === 'string' ? parseValue(option, value) : value];
  };
  return Object.fromEntries(Object.entries(flags).map(read));
}

/** Where an option's value was given, for messages; empty where it is the default. */
export function placeOf({ origins }: Pick<ResolvedOptions, 'origins'>, name: string): string {
  const origin = origins[name];
  if (origin === undefined || origin === 'default') return '';
  return origin === 'flag' ? COMMAND_LINE : origin;
}

/** @throws UserError with the nearest name where there is none */
export function findMethod<M extends MethodOptions>(methods: readonly M[], name: string, where: string): M {
  const found = methods.find((method) => method.name === name);
  if (found) return found;
  throw unknownName(
    'method',
    name,
    methods.map((method) => method.name),
    where,
  );
}

interface BroughtPreset<M> {
  method: M;
  values: GivenOptions;
}

function findPreset<M extends MethodOptions>(methods: readonly M[], name: string, where: string): BroughtPreset<M> {
  const method = methods.find(({ presets }) => Object.hasOwn(presets, name));
  const preset = method?.presets[name];
  if (method && preset) return { method, values: preset.options };
  throw unknownName(
    'preset',
    name,
    methods.flatMap(({ presets }) => Object.keys(presets)),
    where,
  );
}

/** What a preset says of the options that there are: those of another method have none of its own. */
function fitting<M extends MethodOptions>(
  { method, values }: BroughtPreset<M>,
  chosen: M,
  schema: Schema,
): GivenOptions {
  if (method === chosen) return values;
  return Object.fromEntries(Object.entries(values).filter(([name]) => name in schema && !(name in method.options)));
}
