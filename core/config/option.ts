/** The parts into which options are sorted in help and tables. */
export const GROUPS = ['Method', 'Masks', 'Objective', 'Data', 'Model', 'Optimisation', 'Running'] as const;
export type Group = (typeof GROUPS)[number];

/** Two numbers, the first not larger than the second. */
export type Pair = readonly [number, number];

/** What every option says about itself. */
interface About<T> {
  group: Group;
  default: T;
  /** What runs had whose record lacks the option, where that is not its default: they are older than it, or than the default. */
  before?: T;
  /** One phrase without full stop. */
  help: string;
  /** Unit of the value, for people. */
  unit?: string;
  /** Whether a resumed run may be given another value. */
  mayChange?: boolean;
}

interface Range {
  min?: number;
  max?: number;
  /** The lower bound itself is not allowed. */
  open?: boolean;
  /** Values stay below this one. */
  below?: number;
}

/**
 * One option: flags, configuration files, validation, help and the README's table are all made from it. It is plain data
 * so that help loads nothing that checks.
 */
export interface Option<T> extends About<T>, Range {
  kind: 'integer' | 'number' | 'interval' | 'choice' | 'name' | 'text' | 'list';
  choices?: readonly string[];
  /** What the value is the name of, where plugins bring more than the program itself. */
  nameOf?: string;
  /** What the program chooses where it is left to it: null, written 'auto'. */
  automatic?: string;
  /** The option may be without a value: null. */
  mayBeNone?: boolean;
}

export function integer(about: About<number> & Range): Option<number> {
  return { ...about, kind: 'integer' };
}

export function number(about: About<number> & Range): Option<number> {
  return { ...about, kind: 'number' };
}

/** A number that the program chooses where none is given. */
export function automatic(option: Omit<Option<number>, 'default'>, meaning: string): Option<number | null> {
  return { ...option, default: null, automatic: meaning };
}

/** Written 0.3-1 in a shell, [0.3, 1] or '0.3-1' in a file. */
export function interval(about: About<Pair> & Range): Option<Pair> {
  return { ...about, kind: 'interval' };
}

export function choice<const T extends string>(about: About<NoInfer<T>> & { choices: readonly T[] }): Option<T> {
  return { ...about, kind: 'choice' };
}

export function named(about: About<string> & { nameOf: string }): Option<string> {
  return { ...about, kind: 'name' };
}

export function path(about: About<string | null>): Option<string | null> {
  return { ...about, kind: 'text', mayBeNone: true };
}

export function list(about: About<readonly string[]>): Option<readonly string[]> {
  return { ...about, kind: 'list' };
}

/** What stands for a choice that is left to the program, on the command line and in files. */
export const AUTO = 'auto';
/** What stands for no regularizer. */
export const NONE = 'none';

/** What values an option allows, for people. */
export function allowedValues(option: Option<unknown>): string {
  return describeValues(option) + (option.automatic === undefined ? '' : `, or ${AUTO}`);
}

function describeValues(option: Option<unknown>): string {
  switch (option.kind) {
    case 'integer':
      return describeRange('whole number', option);
    case 'number':
      return describeRange('number', option);
    case 'interval':
      return `from-to, ${describeRange('each', option)}, the first not larger than the second`;
    case 'choice':
      return `one of ${option.choices?.join(', ')}`;
    case 'name':
      return `the name of ${option.nameOf}`;
    case 'text':
      return 'a path';
    case 'list':
      return 'a list of words';
  }
}

/** A value as the user would write it, with what `auto` means. */
export function formatValue(option: Option<unknown>, value: unknown): string {
  if (value === null) return option.automatic === undefined ? 'none' : `${AUTO}: ${option.automatic}`;
  if (option.kind === 'interval') return (value as Pair).map((x) => Number(x.toPrecision(4))).join('-');
  return Array.isArray(value) ? value.join(' ') || 'none' : String(value);
}

/**
 * Reads a value from the command line; what cannot be read is returned as it is, for validation to understand or refuse.
 */
export function parseValue(option: Option<unknown>, word: string): unknown {
  if (option.kind === 'integer' || option.kind === 'number') return readNumber(word);
  return option.kind === 'interval' ? readInterval(word) : word;
}

/** Characters of two numbers, at most. */
const LONGEST_INTERVAL = 100;

/** 'a-b', 'a,b' or 'a..b' as two numbers. */
export function readInterval(word: string): unknown {
  if (word.length > LONGEST_INTERVAL) return word; // the pattern's time grows with its square
  const parts = /^\s*([\d.]+(?:e-?\d+)?)\s*(?:-|,|\.\.)\s*([\d.]+(?:e-?\d+)?)\s*$/i.exec(word);
  return parts ? [readNumber(parts[1] as string), readNumber(parts[2] as string)] : word;
}

/** A decimal number; any other word is returned as it is. */
export function readNumber(word: string): unknown {
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(word.trim()) ? Number(word) : word;
}

function describeRange(what: string, { min, max, open, below }: Range): string {
  const upper = (max === undefined ? '' : ` to ${max}`) + (below === undefined ? '' : ` to below ${below}`);
  if (min === undefined) return what + upper;
  return `${what} ${open ? 'above' : 'from'} ${min}${upper}`;
}
