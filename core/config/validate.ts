import { inspect } from 'node:util';
import { z } from 'zod';
import { nearestName, UserError, unknownName } from '../base/errors.js';
import { AUTO, allowedValues, type Option, readInterval } from './option.js';
import { flagOf, REMOVED_OPTIONS, type Schema } from './schema.js';

/** Characters of a value that are shown. */
const LONGEST_VALUE = 200;

/** Values that were given for some options. */
export type GivenOptions = Readonly<Record<string, unknown>>;

/**
 * Checks the names and values of options.
 * @param where where they were given, for messages: a file, or 'the command line'
 * @throws UserError for the first name or value that is wrong
 */
export function validateOptions(given: GivenOptions, where: string, schema: Schema): GivenOptions {
  const checked: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(given)) {
    const option = Object.hasOwn(schema, name) ? schema[name] : undefined;
    if (!option) throw unknownName('option', name, Object.keys(schema), where);
    const result = typeOf(option).safeParse(option.automatic !== undefined && value === AUTO ? null : value);
    if (!result.success) {
      const meant = option.choices && typeof value === 'string' ? nearestName(value, option.choices) : undefined;
      throw new UserError(`${name} (${flagOf(name)}) in ${where} cannot be ${describeValue(value)}`, {
        expected: allowedValues(option),
        remedy: meant ? `did you mean '${meant}'?` : `correct the value of ${name}: ${option.help}`,
      });
    }
    checked[name] = result.data;
  }
  return checked;
}

/** Takes out what older versions had as options. @returns the other options, and the names of those that were there */
export function withoutRemoved(given: Readonly<Record<string, unknown>>): {
  options: Readonly<Record<string, unknown>>;
  removed: readonly string[];
} {
  const isRemoved = (name: string) => Object.hasOwn(REMOVED_OPTIONS, name);
  const removed = Object.keys(given).filter(isRemoved);
  return { options: Object.fromEntries(Object.entries(given).filter(([name]) => !isRemoved(name))), removed };
}

/** A value about as it was written, as far as that helps: it may be as large, deep or circular as its file made it. */
function describeValue(value: unknown): string {
  if (typeof value === 'string')
    return JSON.stringify(value.length > LONGEST_VALUE ? `${value.slice(0, LONGEST_VALUE)}...` : value);
  if (Array.isArray(value) && value.length === 2 && value.every((part) => typeof part === 'number'))
    return value.join('-');
  return inspect(value, {
    depth: 1,
    breakLength: Number.POSITIVE_INFINITY,
    maxArrayLength: 10,
    maxStringLength: LONGEST_VALUE,
  });
}

/** The type of an option's values in a configuration file. */
function typeOf(option: Option<unknown>): z.ZodType {
  const type = requiredTypeOf(option);
  return option.automatic === undefined && !option.mayBeNone ? type : type.nullable();
}

function requiredTypeOf(option: Option<unknown>): z.ZodType {
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
    case 'list':
      return z.preprocess((value) => (typeof value === 'string' ? [value] : value), z.array(z.string().min(1)));
  }
}

function withRange(type: z.ZodNumber, { min, max, open, below }: Option<unknown>): z.ZodNumber {
  let bounded = type;
  if (min !== undefined) bounded = open ? bounded.gt(min) : bounded.min(min);
  if (max !== undefined) bounded = bounded.max(max);
  if (below !== undefined) bounded = bounded.lt(below);
  return bounded;
}
