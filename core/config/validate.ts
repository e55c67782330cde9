import { inspect } from 'node:util';
import { z } from 'zod';
import { nearestName, UserError, unknownName } from '../base/errors.js';
import {
  AUTO,
  allowedValues,
  flagOf,
  type Option,
  type OptionTable,
  parseValue,
  readInterval,
  readWords,
  takesAuto,
  type ValuesOf,
} from './option.js';

/** Characters of a value that are shown. */
const LONGEST_VALUE = 200;

/** Values that were given for some options. */
export type GivenOptions = Readonly<Record<string, unknown>>;

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
    const result = type.safeParse(takesAuto(option) && value === AUTO ? null : value);
    if (!result.success) throw refusal(name, option, value, where);
    checked[name] = result.data;
  }
  return checked;
}

/** Reads what a command line said, words for the most part, and checks it. */
export function validateFlags(given: GivenOptions, table: OptionTable): GivenOptions {
  const read = Object.entries(given).map(([name, value]) => {
    const option = table[name];
    return [name, option ? parseValue(option, value) : value];
  });
  return validateOptions(Object.fromEntries(read), '', table);
}

/** A value for every option of a table: what was given, or the default. */
export function withDefaults<Table extends OptionTable>(table: Table, given: GivenOptions): ValuesOf<Table> {
  const values = Object.entries(table).map(([name, { default: usual }]) => [
    name,
    given[name] === undefined ? usual : given[name],
  ]);
  return Object.fromEntries(values);
}

function refusal(name: string, option: Option<unknown>, value: unknown, where: string): UserError {
  const flag = flagOf(name, option);
  const { choices } = option;
  const wrong = [value].flat().find((word) => typeof word === 'string' && !choices?.includes(word));
  const meant = choices && wrong !== undefined ? nearestName(String(wrong), choices) : undefined;
  const what = where === '' ? flag : `${name} (${flag}) in ${where}`;
  return new UserError(`${what} cannot be ${describeValue(value)}`, {
    expected: allowedValues(option),
    remedy: meant ? `did you mean '${meant}'?` : `correct the value of ${where === '' ? flag : name}: ${option.help}`,
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
