/** Two numbers, the first not larger than the second. */
export type Pair = readonly [number, number];

/** What options say about themselves, beside their values. */
interface Facts {
  /** One phrase without full stop. */
  help: string;
  /** The heading under which it stands in help and tables. */
  group?: string;
  /** Unit of the value, for people. */
  unit?: string;
  /** What the value is the name of, where plugins bring more than the program itself; what a text is: 'folder'. */
  what?: string;
  /** Whether a resumed run may be given another value. */
  mayChange?: boolean;
  /** It is given by its place on the command line, without a flag. */
  positional?: boolean;
}

interface Range {
  min?: number;
  max?: number;
  /** The lower bound itself is not allowed. */
  open?: boolean;
  /** Values stay below this one. */
  below?: number;
}

/** There always is a value: the default, or one that has to be given. */
type Present<T> = { default: T } | { required: true };
/** There may be none: the program does what `automatic` says, written 'auto'; or there is nothing to do. */
type Absent = { automatic: string } | { optional: true };

export const OPTION_KINDS = ['integer', 'number', 'interval', 'choice', 'name', 'text', 'words', 'flag'] as const;

/**
 * One option of a run, of a method or of a command: flags, configuration files, validation, help and tables are all made
 * from it. It is plain data so that help loads nothing that checks.
 */
export interface Option<T> extends Facts, Range {
  kind: (typeof OPTION_KINDS)[number];
  default: T;
  automatic?: string;
  optional?: boolean;
  required?: boolean;
  /** Of a choice, or of each of some words. */
  choices?: readonly string[];
  /** Words stand side by side on the command line, since they may have commas in them. */
  spaced?: boolean;
}

/** Options by name. */
export type OptionTable = Readonly<Record<string, Option<unknown>>>;
/** What the options of a table come to. */
export type ValuesOf<Table> = { readonly [Name in keyof Table]: Table[Name] extends Option<infer T> ? T : never };

interface Builder<T, More = unknown> {
  (about: Facts & More & Present<T>): Option<T>;
  (about: Facts & More & Absent): Option<T | null>;
}

export const integer: Builder<number, Range> = builder('integer');
export const number: Builder<number, Range> = builder('number');
/** Written 0.3-1 in a shell, [0.3, 1] or '0.3-1' in a file. */
export const interval: Builder<Pair, Range> = builder('interval');
export const named: Builder<string, { what: string }> = builder('name');
export const text: Builder<string> = builder('text');
export const choice: {
  <const T extends string>(about: Facts & { choices: readonly T[] } & Present<NoInfer<T>>): Option<T>;
  <const T extends string>(about: Facts & { choices: readonly T[] } & Absent): Option<T | null>;
} = builder('choice');

/** With commas between them on the command line, unless they are `spaced`; none where none are given. */
export function words<const T extends string = string>(
  about: Facts & { default?: readonly NoInfer<T>[]; choices?: readonly T[]; spaced?: boolean; required?: boolean },
): Option<readonly T[]> {
  return { default: [], ...about, kind: 'words' };
}

/** Given without a value; where it is the default, the flag begins with --no. */
export function flag(help: string, usual = false): Option<boolean> {
  return { help, default: usual, kind: 'flag' };
}

/** An option that differs a little from another. */
export function like<T>(option: Option<T>, about: Partial<Facts> & Range & Absent): Option<T | null>;
export function like<T>(option: Option<T>, about: Partial<Facts> & Range & { default?: NoInfer<T> }): Option<T>;
export function like<T>(option: Option<T>, about: object): Option<T | null> {
  return { ...option, ...(('automatic' in about || 'optional' in about) && { default: null }), ...about };
}

function builder(kind: Option<never>['kind']): (about: Facts) => Option<never> {
  return (about) => ({ default: null as never, ...about, kind });
}

/** Options under one heading. */
export function grouped<Table extends OptionTable>(group: string, table: Table): Table {
  return Object.fromEntries(Object.entries(table).map(([name, option]) => [name, { ...option, group }])) as Table;
}

/** What stands for a choice that is left to the program, on the command line and in files. */
export const AUTO = 'auto';
/** What stands for nothing where there may be nothing: no regularizer, no words. */
export const NONE = 'none';

/** The command-line flag of an option, or its place there: imageSize -> --image-size, data -> DATA... */
export function flagOf(name: string, { positional, kind, default: usual }: Option<unknown>): string {
  const word = name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  if (positional) return word.toUpperCase() + (kind === 'words' ? '...' : '');
  return `--${kind === 'flag' && usual === true ? 'no-' : ''}${word}`;
}

/** Whether 'auto' leaves the choice to the program; for a path it is a name like any other. */
export function takesAuto({ automatic, kind }: Option<unknown>): boolean {
  return automatic !== undefined && kind !== 'text';
}

/** What values an option allows, for people. */
export function allowedValues(option: Option<unknown>): string {
  return describeValues(option) + (takesAuto(option) ? `, or ${AUTO}` : option.optional ? `, or ${NONE}` : '');
}

function describeValues(option: Option<unknown>): string {
  const { kind, choices = [], what = 'path' } = option;
  switch (kind) {
    case 'integer':
      return describeRange('whole number', option);
    case 'number':
      return describeRange('number', option);
    case 'interval':
      return `from-to, ${describeRange('each', option)}, the first not larger than the second`;
    case 'choice':
      return `one of ${choices.join(', ')}`;
    case 'name':
      return choices.length > 0 ? `one of ${choices.join(', ')}` : `the name of ${what}`;
    case 'text':
      return `${/^[aeiou]/.test(what) ? 'an' : 'a'} ${what}`;
    case 'words':
      return choices.length > 0 ? `some of ${choices.join(', ')}` : 'a list of words';
    case 'flag':
      return 'true or false';
  }
}

/** A value as the user would write it, with what `auto` means. */
export function formatValue({ kind, automatic }: Option<unknown>, value: unknown): string {
  if (value === null) return automatic === undefined ? NONE : kind === 'text' ? automatic : `${AUTO}: ${automatic}`;
  if (kind === 'interval') return (value as Pair).map((x) => Number(x.toPrecision(4))).join('-');
  return Array.isArray(value) ? value.join(',') || NONE : String(value);
}

/**
 * Reads a value from the command line; what cannot be read is returned as it is, for validation to understand or refuse.
 */
export function parseValue({ kind, spaced, positional }: Option<unknown>, word: unknown): unknown {
  if (typeof word !== 'string') return word;
  if (kind === 'integer' || kind === 'number') return readNumber(word);
  if (kind === 'words' && !spaced && !positional) return readWords(word);
  if (kind === 'flag' && (word === 'true' || word === 'false')) return word === 'true';
  return kind === 'interval' ? readInterval(word) : word;
}

/** Characters of two numbers, at most. */
const LONGEST_INTERVAL = 100;

/** 'a-b', 'a,b' or 'a..b' as two numbers. */
export function readInterval(word: string): unknown {
  if (word.length > LONGEST_INTERVAL) return word; // the pattern's time grows with its square
  const parts = /^\s*([\d.]+(?:e-?\d+)?)\s*(?:-|,|\.\.)\s*([\d.]+(?:e-?\d+)?)\s*$/i.exec(word);
  return parts ? [readNumber(parts[1]), readNumber(parts[2])] : word;
}

/** 'a,b' as two words, 'none' as no words. */
export function readWords(word: string): string[] {
  return word === NONE ? [] : word.split(',').map((part) => part.trim());
}

/** A decimal number; any other word is returned as it is. */
function readNumber(word: string): unknown {
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(word.trim()) ? Number(word) : word;
}

function describeRange(what: string, { min, max, open, below }: Range): string {
  const upper = (max === undefined ? '' : ` to ${max}`) + (below === undefined ? '' : ` to below ${below}`);
  if (min === undefined) return what + upper;
  return `${what} ${open ? 'above' : 'from'} ${min}${upper}`;
}
