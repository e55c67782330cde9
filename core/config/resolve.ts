import { inspect } from 'node:util';
import { z } from 'zod';
import { nearestName, UserError, unknownName } from '../base/errors.js';
import { mapValues } from '../base/map-values.js';
import { chooseMethod, findPreset, type OptionSources } from './choose-method.js';
import {
  AUTO,
  allowedValues,
  flagOf,
  NONE,
  type Option,
  type OptionTable,
  parseValue,
  readInterval,
  readWords,
  takesAuto,
  type ValuesOf,
} from './option.js';
import { ENCODER_OPTIONS, type MethodOptions, type Options, schemaOf } from './schema.js';

/** Characters of a value that are shown. */
const LONGEST_VALUE = 200;

type GivenOptions = Readonly<Record<string, unknown>>;

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

  const layers: Layer[] = [];
  if (preset) {
    // Of the options that there are: those of another method have none of its own.
    const { method: source, values } = preset;
    const fits = (name: string) => source === method || (name in schema && !(name in source.options));
    const fitting = Object.fromEntries(Object.entries(values).filter(([name]) => fits(name)));
    layers.push({ origin: `preset ${preset.name}`, values: fitting });
  }
  if (file) layers.push({ origin: file.path, values: validateOptions(file.options, file.path, schema) });
  layers.push({ origin: 'flag', values: validateFlags(flags, schema) });

  const options: Record<string, unknown> = {};
  const origins: Record<string, string> = {};
  for (const [name, option] of Object.entries(schema)) {
    const layer = layers.findLast(({ values }) => values[name] !== undefined);
    options[name] = layer ? layer.values[name] : option.default;
    origins[name] = layer ? layer.origin : 'default';
  }
  if (lengthIsEpochs(layers)) [options.imagesSeen, origins.imagesSeen] = [null, 'default'];
  if (preset && origins.initFrom === layers[0].origin) {
    const isOwn = preset.method === method && isSameEncoder(schema, options, layers[0].values);
    if (!isOwn) [options.initFrom, origins.initFrom] = [null, 'default'];
  }
  return { method, schema, options: { ...options, method: method.name } as Options, origins };
}

/** Whether the encoder is still the preset's: only then do the preset's initial weights fit. */
function isSameEncoder(schema: OptionTable, options: GivenOptions, preset: GivenOptions): boolean {
  const ofPreset = withDefaults(schema, preset);
  return ENCODER_OPTIONS.every((name) => options[name] === ofPreset[name]);
}

/** Options of one origin. */
type Layer = { origin: string; values: GivenOptions };

/**
 * Whether epochs say how long a run is, and not the images that it sees: the stronger layer decides. A file may have both,
 * as the record of a run does, and means the images.
 * @param layers from weakest to strongest
 * @throws UserError where the command line says both
 */
function lengthIsEpochs(layers: readonly Layer[]): boolean {
  const strongest = layers.findLast(({ values }) => values.epochs !== undefined || values.imagesSeen != null);
  if (!strongest) return true;
  const { epochs, imagesSeen } = strongest.values;
  if (epochs === undefined || imagesSeen == null) return imagesSeen == null;
  if (strongest.origin !== 'flag') return false;
  throw new UserError(`--epochs ${epochs} and --images-seen ${imagesSeen} both say how long the run is`, {
    expected: 'one of them',
    remedy: 'leave one out',
  });
}

/** Where an option's value was given, for messages; empty where it is the default. */
export function placeOf({ origins }: Pick<ResolvedOptions, 'origins'>, name: string): string {
  const origin = origins[name];
  if (origin === undefined || origin === 'default') return '';
  return origin === 'flag' ? 'the command line' : origin;
}

/**
 * Checks the names and values of options.
 * @param where in which file they were given, for messages; empty for the command line
 * @throws UserError for the first name or value that is wrong
 */
export function validateOptions(given: GivenOptions, where: string, table: OptionTable): GivenOptions {
  const checked: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(given)) {
    const option = Object.hasOwn(table, name) ? table[name] : undefined;
    if (!option) throw unknownName('option', name, Object.keys(table), where);
    const mayBeNull = option.automatic !== undefined || option.optional;
    const type = mayBeNull ? typeOf(option).nullable() : typeOf(option);
    const isAbsent = (takesAuto(option) && value === AUTO) || (option.optional && value === NONE);
    const result = type.safeParse(isAbsent ? null : value);
    if (!result.success) throw refusal(name, option, value, where);
    checked[name] = result.data;
  }
  return checked;
}

/** Reads what a command line said, words for the most part, and checks it. */
export function validateFlags(given: GivenOptions, table: OptionTable): GivenOptions {
  const read = (word: unknown, name: string) => (table[name] ? parseValue(table[name], word) : word);
  return validateOptions(mapValues(given, read), '', table);
}

/** A value for every option of a table: what was given, or the default. */
export function withDefaults<Table extends OptionTable>(table: Table, given: GivenOptions): ValuesOf<Table> {
  const valueOrUsual = ({ default: usual }: Option<unknown>, name: string) =>
    given[name] === undefined ? usual : given[name];
  return mapValues(table, valueOrUsual) as ValuesOf<Table>;
}

/** Options that the run's method does not have, but others do. */
function refuseOthers(given: GivenOptions, where: string, chosen: MethodOptions, methods: readonly MethodOptions[]) {
  const schema = schemaOf(chosen);
  for (const name of Object.keys(given).filter((name) => !Object.hasOwn(schema, name))) {
    const others = methods.filter(({ options }) => Object.hasOwn(options, name));
    const [other] = others;
    if (!other) continue;
    const what = `${placedName(name, other.options[name], where)} is an option of the method${others.length > 1 ? 's' : ''}`;
    const own = Object.entries(chosen.options).map(([own, option]) => (where === '' ? flagOf(own, option) : own));
    throw new UserError(
      `${what} ${others.map((method) => method.name).join(', ')}; this run's method is ${chosen.name}`,
      {
        expected: `options of ${chosen.name}: ${own.join(', ')}; and those of all methods`,
        remedy: `leave it out, or choose the method: --method ${other.name}`,
      },
    );
  }
}

/** An option as messages name it: its flag, or its name in a file with the flag that is the same. */
function placedName(name: string, option: Option<unknown>, where: string): string {
  return where === '' ? flagOf(name, option) : `${name} (${flagOf(name, option)}) in ${where}`;
}

function refusal(name: string, option: Option<unknown>, value: unknown, where: string): UserError {
  const { choices } = option;
  const wrong = [value].flat().find((word) => typeof word === 'string' && !choices?.includes(word));
  const meant = choices && wrong !== undefined ? nearestName(String(wrong), choices) : undefined;
  const short = where === '' ? flagOf(name, option) : name;
  return new UserError(`${placedName(name, option, where)} cannot be ${describeValue(value)}`, {
    expected: allowedValues(option),
    remedy: meant ? `did you mean '${meant}'?` : `correct the value of ${short}: ${option.help}`,
  });
}

/** A value about as it was written, as far as that helps: it may be as large, deep or circular as its file made it. */
function describeValue(value: unknown): string {
  if (typeof value === 'string')
    return JSON.stringify(value.length > LONGEST_VALUE ? `${value.slice(0, LONGEST_VALUE)}...` : value);
  if (Array.isArray(value) && value.length === 2 && value.every((part) => typeof part === 'number'))
    return value.join('-');
  if (Array.isArray(value) && value.length === 1 && typeof value[0] === 'string') return describeValue(value[0]);
  return inspect(value, {
    depth: 1,
    breakLength: Number.POSITIVE_INFINITY,
    maxArrayLength: 10,
    maxStringLength: LONGEST_VALUE,
  });
}

/** The type of an option's values in a configuration file, where there is one. */
function typeOf(option: Option<unknown>): z.ZodType {
  switch (option.kind) {
    case 'integer':
      return withRange(z.int(), option);
    case 'number':
      return withRange(z.number(), option);
    case 'interval': {
      const end = withRange(z.number(), option);
      const ordered = z.tuple([end, end]).refine(([from, to]) => from <= to);
      return z.preprocess((value) => (typeof value === 'string' ? readInterval(value) : value), ordered);
    }
    case 'choice':
      return z.enum(option.choices as [string, ...string[]]);
    case 'name':
    case 'text':
      return z.string().min(1);
    case 'words': {
      const word = option.choices ? z.enum(option.choices as [string, ...string[]]) : z.string().min(1);
      const split = (value: string) => (option.spaced ? [value] : readWords(value));
      return z.preprocess((value) => (typeof value === 'string' ? split(value) : value), z.array(word));
    }
    case 'flag':
      return z.boolean();
  }
}

function withRange(type: z.ZodNumber, { min, max, open, below }: Option<unknown>): z.ZodNumber {
  let bounded = type;
  if (min !== undefined) bounded = open ? bounded.gt(min) : bounded.min(min);
  if (max !== undefined) bounded = bounded.max(max);
  if (below !== undefined) bounded = bounded.lt(below);
  return bounded;
}
