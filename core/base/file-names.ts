import { isUtf8 } from 'node:buffer';

/*
 * Names of files are bytes to the system and text to us. A byte that is not part of valid UTF-8 becomes half of a
 * surrogate pair, U+DC80 to U+DCFF, as in Python (PEP 383): no valid name has one, so that the bytes come back from the text.
 */
const FIRST_HALF = 0xdc00;

/** The text that stands for a name of any bytes. */
export function nameFromBytes(bytes: Buffer): string {
  const text = bytes.toString();
  if (!text.includes('\ufffd') || isUtf8(bytes)) return text;
  let name = '';
  for (let at = 0; at < bytes.length; ) {
    const length = [1, 2, 3, 4].find((some) => at + some <= bytes.length && isUtf8(bytes.subarray(at, at + some)));
    name += length ? bytes.toString('utf8', at, at + length) : String.fromCharCode(FIRST_HALF + bytes[at]);
    at += length ?? 1;
  }
  return name;
}

/** The bytes that a text stands for. */
export function bytesOfName(name: string): Buffer {
  if (name.isWellFormed()) return Buffer.from(name);
  return Buffer.concat(Array.from(name, (character) => byteOf(character) ?? Buffer.from(character)));
}

function byteOf(character: string): Buffer | undefined {
  const byte = character.charCodeAt(0) - FIRST_HALF;
  return character.length === 1 && byte >= 0x80 && byte <= 0xff ? Buffer.of(byte) : undefined;
}

/** A path as the system is to be asked for it. */
export function systemPath(path: string): string | Buffer {
  return path.isWellFormed() ? path : bytesOfName(path);
}

const CONTROLS: Readonly<Record<string, string>> = { '\t': '\\t', '\n': '\\n', '\r': '\\r', '\\': '\\\\' };
/** What cannot stand in a line, and what looks as if it stood for that. */
const TO_ESCAPE = /\p{Cc}|[\ud800-\udfff]|\\(?:[\\tnr]|x[0-9a-f]{2}|u[0-9a-f]{4})/u;

/**
 * A name as it is shown and listed: bytes that are not UTF-8 as \xe9, control characters as \t, \n, \r or \u0007, and
 * backslashes doubled in such a name and in one that looks like one. No two names are shown alike.
 */
export function shownName(name: string): string {
  if (!TO_ESCAPE.test(name)) return name;
  return name.replaceAll(/\p{Cc}|[\ud800-\udfff]|\\/gu, (character) => {
    const hex = (digits: number, code: number) => code.toString(16).padStart(digits, '0');
    const byte = byteOf(character)?.[0];
    return CONTROLS[character] ?? (byte === undefined ? `\\u${hex(4, character.charCodeAt(0))}` : `\\x${hex(2, byte)}`);
  });
}
