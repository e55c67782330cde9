import { basename, dirname, join } from 'node:path';
import { attempt, printable, UserError } from '../../base/errors.js';

const MOST_SHARDS = 1e6;
/** Characters of a pattern in a message. */
const LONGEST_SHOWN = 200;

/** Whether a word names shards: an address, or files that end in .tar. */
export function namesShards(word: string): boolean {
  return isAddress(word) || /\.(?:tar|tar\.\w+|tgz)$/i.test(word);
}

/** Whether a word is an address of a server. */
export function isAddress(word: string): boolean {
  return /^https?:\/\//i.test(word);
}

/**
 * The words that a pattern stands for: 'train-{000..002}.tar' for three, '{a,b}.tar' for two, several braces for all their
 * combinations, the first changing slowest. Numbers have as many digits as the first one is written with.
 * @throws UserError if braces do not match, a range leads downwards, or there are more than a million words
 */
export function expandBraces(pattern: string): string[] {
  let words = [''];
  for (const [at, part] of pattern.split(/\{([^{}]*)\}/).entries()) {
    const isInBraces = at % 2 === 1;
    if (!isInBraces && /[{}]/.test(part)) throw wrongBraces(pattern, 'braces do not match');
    const choices = isInBraces ? choicesOf(part, pattern) : [part];
    if (words.length * choices.length > MOST_SHARDS) throw wrongBraces(pattern, `more than ${MOST_SHARDS} names`);
    words = words.flatMap((start) => choices.map((choice) => start + choice));
  }
  return words;
}

/** '08..10' -> ['08', '09', '10']; 'a,b' -> ['a', 'b'] */
function choicesOf(inner: string, pattern: string): string[] {
  const range = /^(\d+)\.\.(\d+)$/.exec(inner);
  if (!range) {
    if (inner.includes(',')) return inner.split(',');
    throw wrongBraces(pattern, `'{${printable(inner, LONGEST_SHOWN)}}' is neither a range nor a list`);
  }
  const [first = '', last = ''] = range.slice(1);
  const count = Number(last) - Number(first) + 1;
  if (count < 1) throw wrongBraces(pattern, `a range leads downwards`);
  if (!(count <= MOST_SHARDS)) throw wrongBraces(pattern, `more than ${MOST_SHARDS} names`);
  return Array.from({ length: count }, (_, at) => String(Number(first) + at).padStart(first.length, '0'));
}

function wrongBraces(pattern: string, problem: string): UserError {
  return new UserError(`'${printable(pattern, LONGEST_SHOWN)}' cannot be understood: ${problem}`, {
    expected: 'a range such as {000000..000146}, or a list such as {a,b}',
    remedy:
      "put the whole word in single quotes, so that the shell leaves it as it is: 'data/train-{000000..000146}.tar'",
  });
}

/** The path of a file, on this machine or on its server. */
export function pathOf(place: string): string {
  return isAddress(place) ? parseAddress(place).pathname : place;
}

/** The name of a file at a path or address. */
export function nameOf(place: string): string {
  const name = basename(pathOf(place));
  return isAddress(place) ? attempt(() => decodeURIComponent(name), name) : name;
}

/** What lies beside a shard, or in a folder: a path or address. Whatever follows '?' in an address stays. */
export function beside(shard: string, name: string): string {
  if (!isAddress(shard)) return join(dirname(shard), name);
  const folder = parseAddress(shard);
  folder.pathname = new URL('.', folder).pathname;
  return inside(folder.href, name);
}

/** What lies in a folder. */
export function inside(folder: string, name: string): string {
  if (!isAddress(folder)) return join(folder, name);
  const base = parseAddress(folder);
  if (!base.pathname.endsWith('/')) base.pathname += '/';
  const found = new URL(encodeURIComponent(name), base);
  found.search = base.search;
  return found.href;
}

/** @throws UserError if it is no address that can be asked */
export function parseAddress(word: string): URL {
  const url = attempt(() => new URL(word), null);
  if (url && url.username === '' && url.password === '') return url;
  const [what, why] = url ? [url.host, 'its address holds a password'] : [word, 'it is no address'];
  throw new UserError(`${what} cannot be asked: ${why}`, {
    expected: 'an address such as https://host/path/train-000000.tar, without a user and password',
  });
}
