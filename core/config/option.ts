/** Two numbers, the first not larger than the second. */
export type Pair = readonly [number, number];

/** What every option says about itself. */
interface About<T> {
  default: T;
  /** One phrase without full stop. */
  help: string;
  /** The heading under which it stands in help and tables. */
  group?: string;
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
 * One option of a run, of a method or of a command: flags, configuration files, validation, help and tables are all made
 * from it. It is plain data so that help loads nothing that checks.
 */
export interface Option<T> extends About<T>, Range {
  kind: 'integer' | 'number' | 'interval' | 'choice' | 'name' | 'text' | 'words' | 'flag';
  /** Of a choice, or of each of some words. */
  choices?: readonly string[];
  /** What the value is the name of, where plugins bring more than the program itself; what a text is: 'folder'. */
  what?: string;
  /** What the program does where it is left to it: null, written 'auto'. */
  automatic?: string;
  /** The option may be without a value: null. */
  mayBeNone?: boolean;
  /** There is no default: it has to be given. */
  required?: boolean;
  /** It is given by its place on the command line, without a flag. */
  positional?: boolean;
  /** Words stand side by side on the command line, since they may have commas in them. */
  spaced?: boolean;
}

/** Options by name. */
export type OptionTable = Readonly<Record<string, Option<unknown>>>;
/** What the options of a table come to. */
export type ValuesOf<Table> = { readonly [Name in keyof Table]: Table[Name] extends Option<infer T> ? T : never };

export function integer(about: About<number> & Range): Option<number> {
  return { ...about, kind: 'integer' };
}

export function number(about: About<number> & Range): Option<number> {
  return { ...about, kind: 'number' };
}

/** Written 0.3-1 in a shell, [0.3, 1] or '0.3-1' in a file. */
export function interval(about: About<Pair> & Range): Option<Pair> {
  return { ...about, kind: 'interval' };
}

export function choice<const T extends string>(about: About<NoInfer<T>> & { choices: readonly T[] }): Option<T> {
  return { ...about, kind: 'choice' };
}

/** @param about `nameOf` says of what it is the name: 'a loss' */
export function named({ nameOf, ...about }: About<string> & { nameOf: string }): Option<string> {
  return { ...about, what: nameOf, kind: 'name' };
}

/** @param about `what` says what the text is: 'folder', 'file' */
export function text(about: Omit<About<null>, 'default'> & { what?: string }): Option<string | null> {
  return { ...about, default: null, kind: 'text', mayBeNone: true };
}

/** With commas between them on the command line, unless they are `spaced`. */
export function words<const T extends string = string>(
  about: About<readonly NoInfer<T>[]> & { choices?: readonly T[]; what?: string; spaced?: boolean },
): Option<readonly T[]> {
  return { ...about, kind: 'words' };
}

/** Given without a value; where it is the default, the flag begins with --no. */
export function flag(help: string, usual = false): Option<boolean> {
  return { help, default: usual, kind: 'flag' };
}

/** There may be no value. */
export function optional<T>(option: Option<T>): Option<T | null> {
  return { ...option, default: null, mayBeNone: true };
}

/** The program chooses where nothing is given. */
export function automatic<T>(option: Option<T>, meaning: string): Option<T | null> {
  return { ...option, default: null, automatic: meaning };
}

export function required<T>(option: Option<T>): Option<NonNullable<T>> {
  const { mayBeNone: _, ...rest } = option;
  return { ...rest, required: true } as Option<NonNullable<T>>;
}

/** An option that is given by its place. */
export function positional<T>(option: Option<T>): Option<T> {
  return { ...option, positional: true, ...(option.kind === 'words' && { spaced: true }) };
}

/** Options under one heading. */
export function grouped<Table extends OptionTable>(group: string, table: Table): Table {
  return Object.fromEntries(Object.entries(table).map(([name, option]) => [name, { ...option, group }])) as Table;
}

/** What stands for a choice that is left to the program, on the command line and in files. */
export const AUTO = 'auto';
/** What stands for no regularizer, and for no words. */
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
  return describeValues(option) + (takesAuto(option) ? `, or ${AUTO}` : '');
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
      return `a ${what}`;
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
export function parseValue({ kind, spaced }: Option<unknown>, word: unknown): unknown {
  if (typeof word !== 'string') return word;
  if (kind === 'integer' || kind === 'number') return readNumber(word);
  if (kind === 'words' && !spaced) return readWords(word);
  return kind === 'interval' ? readInterval(word) : word;
}

/** Characters of two numbers, at most. */
const LONGEST_INTERVAL = 100;

/** 'a-b', 'a,b' or 'a..b' as two numbers. */
export function readInterval(word: string): unknown {
  if (word.length > LONGEST_INTERVAL) return word; // the pattern's time grows with its square
  const parts = /^\s*([\d.]+(?:e-?\d+)?)\s*(?:-|,|\.\.)\s*([\d.]+(?:e-?\d+)?)\s*$/i.exec(word);
  return parts ? [readNumber(parts[1] as string), readNumber(parts[2] as string)] : word;
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
