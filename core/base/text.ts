import { constants } from 'node:buffer';
import { closeSync, readSync } from 'node:fs';
import { buffer } from 'node:stream/consumers';
import { isPointer } from './content-kind.js';
import { attempt, explainSystemError, UserError } from './errors.js';
import { openRegularSync, withRegularFile } from './files.js';

/* Reading of text that anybody may have written: never more of it than there is room for. */

/** Characters of a line, about; of longer ones the middle is left out. */
const MAX_LINE = 1 << 16;
/** Bytes of the longest byte order mark. */
const MARK_BYTES = 3;
/** Nesting of JSON. What goes deeper was made to break those who walk through it. */
const MAX_DEPTH = 100;

/**
 * Reads a text whole, with or without a byte order mark.
 * @throws UserError if it cannot be read, is in UTF-16, or has more than `maxBytes` bytes
 */
export async function readText(path: string, maxBytes: number = constants.MAX_STRING_LENGTH): Promise<string> {
  const bytes = await withRegularFile(path, async (file) =>
    buffer(file.createReadStream({ end: maxBytes, highWaterMark: 1 << 18, autoClose: false })),
  );
  if (bytes.length <= maxBytes) return textOf(bytes, path);
  const expected = 'a text of a size that can be read at once';
  throw new UserError(`${path} has more than ${maxBytes} bytes`, { expected });
}

/**
 * The text that bytes are, without a byte order mark.
 * @param path where they come from, for messages
 * @throws UserError if they are UTF-16, as some editors of Windows save 'Unicode', or stand for a file of Git LFS
 */
export function textOf(bytes: Uint8Array, path: string): string {
  const [first, second] = bytes;
  const isMarked = (first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff);
  if (isMarked || (second !== undefined && (first === 0) !== (second === 0))) {
    throw new UserError(`${path} is a text in UTF-16`, {
      expected: 'UTF-8',
      remedy: "save it as UTF-8; editors offer that under 'save as' or 'encoding'",
    });
  }
  if (isPointer(bytes)) {
    throw new UserError(`${path} is a pointer of Git LFS, not the file itself`, {
      remedy: 'fetch the file with: git lfs pull',
    });
  }
  return new TextDecoder().decode(bytes); // leaves the mark out
}

/**
 * The lines of a text, one after the other, however large it is; with or without a byte order mark.
 * @throws UserError if it cannot be read, or is in UTF-16
 */
export function* linesOf(path: string): Generator<string> {
  const part = Buffer.alloc(MAX_LINE);
  const decoder = new TextDecoder(); // leaves the mark out
  let file: number | undefined;
  let begun = '';
  let isStart = true;
  try {
    file = openRegularSync(path);
    for (let bytes = readSync(file, part); bytes > 0; bytes = readSync(file, part)) {
      if (isStart) textOf(part.subarray(0, Math.min(bytes, MARK_BYTES)), path);
      isStart = false;
      const lines = (begun + decoder.decode(part.subarray(0, bytes), { stream: true })).split('\n');
      begun = (lines.pop() ?? '').slice(0, MAX_LINE);
      yield* lines;
    }
    yield begun + decoder.decode();
  } catch (error) {
    throw explainSystemError(error, path);
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

/**
 * Reads JSON that may come from anybody.
 * @throws Error with the reason if it is none, or nested too deeply
 */
export function parseJson(text: string): unknown {
  const value = parseTrustedJson(text);
  let level = [value];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > MAX_DEPTH) throw new Error(`it is nested more than ${MAX_DEPTH} deep`);
    level = level.flatMap((entry) => (entry !== null && typeof entry === 'object' ? Object.values(entry) : []));
  }
  return value;
}

/** The same, with undefined for what cannot be read. */
export function tryJson(text: string): unknown {
  return attempt(() => parseJson(text), undefined);
}

/**
 * Reads JSON of any size and depth.
 * @throws Error with the reason, line and column if it is none
 */
export function parseTrustedJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const said = error instanceof Error ? error.message : String(error);
    const [reason] = said.split(/, "|,? \.\.\."| in JSON| after JSON| at position/); // the place is told below
    throw new Error(reason + describePlace(text, errorPosition(text, said)), { cause: error });
  }
}

/** ', line 3, column 7', both from 1, of a character of a text. */
export function describePlace(text: string, position: number): string {
  const before = text.slice(0, position).split('\n');
  return `, line ${before.length}, column ${(before.at(-1)?.length ?? 0) + 1}`;
}

/** The character at which JSON.parse stopped, by its message; where that tells only which one, by what can be read up to it. */
function errorPosition(text: string, said: string): number {
  const position = /at position (\d+)/.exec(said)?.[1];
  if (position !== undefined) return Number(position);
  if (!said.startsWith('Unexpected token')) return text.length; // it ended
  let [good, bad] = [0, text.length];
  while (bad - good > 1) {
    const middle = Math.floor((good + bad) / 2);
    if (stopsAtToken(text.slice(0, middle))) bad = middle;
    else good = middle;
  }
  return good;
}

function stopsAtToken(text: string): boolean {
  try {
    JSON.parse(text);
    return false;
  } catch (error) {
    return error instanceof Error && error.message.startsWith('Unexpected token');
  }
}
