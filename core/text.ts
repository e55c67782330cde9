import { constants } from 'node:buffer';
import { closeSync, createReadStream, openSync, readSync } from 'node:fs';
import { StringDecoder } from 'node:string_decoder';
import { explainSystemError, UserError } from './errors.js';

/*
 * Reading of text that anybody may have written: never more of it than there is room for.
 */

/** Characters of a line, about; of longer ones the middle is left out. */
const LONGEST_LINE = 1 << 16;
/** Nesting of JSON. What goes deeper was made to break those who walk through it. */
const DEEPEST = 100;

/**
 * Reads a text whole.
 * @throws UserError if it cannot be read, or has more than `most` bytes
 */
export async function readText(path: string, most: number = constants.MAX_STRING_LENGTH): Promise<string> {
  const parts: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const part of createReadStream(path, { end: most, highWaterMark: 1 << 18 })) {
      parts.push(part as Buffer);
      bytes += (part as Buffer).length;
    }
  } catch (error) {
    throw explainSystemError(error, path);
  }
  if (bytes <= most) return Buffer.concat(parts).toString();
  throw new UserError(`${path} has more than ${most} bytes`, { expected: 'a text of a size that can be read at once' });
}

/**
 * The lines of a text, one after the other, however large it is.
 * @throws UserError if it cannot be read
 */
export function* linesOf(path: string): Generator<string> {
  const part = Buffer.alloc(LONGEST_LINE);
  const decoder = new StringDecoder('utf8');
  let file: number | undefined;
  let begun = '';
  try {
    file = openSync(path, 'r');
    for (let bytes = readSync(file, part); bytes > 0; bytes = readSync(file, part)) {
      const lines = (begun + decoder.write(part.subarray(0, bytes))).split('\n');
      begun = (lines.pop() ?? '').slice(0, LONGEST_LINE);
      yield* lines;
    }
    yield begun + decoder.end();
  } catch (error) {
    throw explainSystemError(error, path);
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

/**
 * Reads JSON.
 * @throws Error with the reason if it is none, or nested too deeply
 */
export function parseJson(text: string): unknown {
  const value: unknown = JSON.parse(text);
  let level = [value];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > DEEPEST) throw new Error(`it is nested more than ${DEEPEST} deep`);
    level = level.flatMap((entry) => (entry !== null && typeof entry === 'object' ? Object.values(entry) : []));
  }
  return value;
}

/** The same, with undefined for what cannot be read. */
export function tryJson(text: string): unknown {
  try {
    return parseJson(text);
  } catch {
    return undefined;
  }
}
