import { isAscii } from 'node:buffer';
import { dirname, isAbsolute, join } from 'node:path';
import { textKind } from '../../base/content-kind.js';
import { UserError } from '../../base/errors.js';
import { nameFromBytes, shownName } from '../../base/file-names.js';
import { kindOf, withRegularFile } from '../../base/files.js';
import { IMAGE_EXTENSIONS, isImage, LeftOut } from './kinds.js';
import { statAll } from './scan.js';

/**
 * The files that a list names, one a line; what follows the name of an image, such as a class, is passed over.
 * @returns `names` as they are written, absolute or relative to the list; `bytes`, 0 for a file that is not there, which is
 * met again, and reported, when it is read; what is to be said of them
 * @throws UserError if the list cannot be read, or none of its files is there
 */
export async function readFileList(list: string): Promise<{ names: string[]; bytes: number[]; notes: string[] }> {
  const lines = await readLines(list);
  const named = lines.map(withoutLabel);
  const paths = named.map((name) => inFolder(dirname(list), name));
  const names: string[] = [];
  const bytes: number[] = [];
  const missing: string[] = [];
  const leftOut = new LeftOut();
  await statAll(paths, (found, index) => {
    const name = named[index];
    const kind = found && kindOf(found);
    if (kind) return leftOut.add('name', `that of ${kind}`, name);
    if (!found) missing.push(name);
    names.push(name);
    bytes.push(found?.size ?? 0);
  });
  const labelled = lines.filter((line, index) => line !== named[index]).length;
  const notes =
    labelled > 0 ? [`what follows the names in ${labelled} lines of ${list} is passed over, such as labels`] : [];
  const [first] = missing;
  if (first !== undefined) {
    const such = `such as ${shownName(first)}`;
    if (missing.length === names.length) {
      throw new UserError(`none of the ${missing.length} files that ${list} names is there, ${such}`, {
        expected: `a path on each line, relative to the list: ${shownName(inFolder(dirname(list), first))}`,
        remedy: 'correct the paths, or put the list where they start',
      });
    }
    notes.push(`${missing.length} of ${names.length} files that ${list} names are not there, ${such}`);
  }
  return { names, bytes, notes: [...notes, ...leftOut.notes] };
}

/** The path of a name in a folder: one in a list may be absolute. */
export function inFolder(folder: string, name: string): string {
  return isAbsolute(name) ? name : join(folder, name);
}

/**
 * The lines of a list of names, without empty ones and those that start with #: UTF-8 or UTF-16, with or without a mark of
 * the order of bytes; names that are not UTF-8 as `nameFromBytes` has them.
 * @throws UserError if it cannot be read, or is no text
 */
export async function readLines(list: string): Promise<string[]> {
  const bytes = await withRegularFile(list, (file) => file.readFile());
  return textOf(bytes, list)
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
}

function textOf(bytes: Buffer, list: string): string {
  const kind = textKind(bytes);
  if (kind !== null)
    throw new UserError(`${list} is no list of names: its content is ${kind}`, { expected: 'a path on each line' });
  const text = decode(bytes);
  if (!text.includes('\0')) return text.replace(/^\ufeff/, '');
  throw new UserError(`${list} is no list of names: it holds bytes of value 0`, {
    expected: 'a text, UTF-8 or UTF-16, with a path on each line',
    remedy: 'save it as UTF-8, or name another list',
  });
}

function decode(bytes: Buffer): string {
  if (!bytes.includes(0)) return isAscii(bytes) ? bytes.toString('latin1') : linesFromBytes(bytes);
  // No name has a byte of value 0: this is UTF-16, or no text.
  const isBigEndian = bytes[0] === 0xfe || (bytes[0] === 0 && bytes[1] !== 0);
  return bytes.length % 2 === 0 ? (isBigEndian ? Buffer.from(bytes).swap16() : bytes).toString('utf16le') : '\0';
}

/** Each line by itself: one name that is not UTF-8 leaves the others as they are. */
function linesFromBytes(bytes: Buffer): string {
  const text = bytes.toString();
  if (!text.includes('\ufffd')) return text;
  return bytes
    .toString('latin1')
    .split('\n')
    .map((line) => nameFromBytes(Buffer.from(line, 'latin1')))
    .join('\n');
}

const IMAGE_AND_MORE = new RegExp(`(?:${IMAGE_EXTENSIONS.map((ending) => `\\${ending}`).join('|')})(?=[\\s,;])`, 'gi');

/** 'a/b.jpg 3' -> 'a/b.jpg' */
function withoutLabel(line: string): string {
  if (isImage(line)) return line;
  const end = [...line.matchAll(IMAGE_AND_MORE)].at(-1);
  return end ? line.slice(0, end.index + end[0].length) : line;
}
