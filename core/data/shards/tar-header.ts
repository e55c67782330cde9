import { Header } from 'tar/header';
import { attempt } from '../../base/errors.js';
import { nameFromBytes } from '../../base/file-names.js';
import type { ByteSource } from './source.js';

/** A header is a block, and all that follows it fills whole blocks. */
export const BLOCK = 512;

const LONG_NAMES = ['NextFileHasLongPath', 'OldGnuLongPath'];
const LONG_LINK_NAME = 'NextFileHasLongLinkpath';
const PAX_HEADERS = ['ExtendedHeader', 'OldExtendedHeader'];
const NOTES = [...PAX_HEADERS, 'GlobalExtendedHeader', ...LONG_NAMES, LONG_LINK_NAME];

/** Keywords and values that a pax header says of the next entry, in their order. */
export type PaxRecords = [keyword: string, value: string][];

/** A part of a file's content that lies in the archive. What lies in none is zeros. */
export interface Piece {
  /** Where it belongs, in bytes from the start of the content. */
  at: number;
  /** Where it lies, in bytes from the start of the archive. */
  offset: number;
  bytes: number;
}

/** A file with holes: its name, where the entry has another one, its bytes with the holes, and where its parts lie. */
type SparseMap = { name?: string; size: number; pieces: Piece[] };

type Read = ByteSource['read'];

/** Bytes of a file with holes above which none is made up: archives of a few bytes can claim any number. */
const MAX_SIZE = 2 ** 30;
/** Bytes of a map that is written as text. */
const MAX_MAP_BYTES = 1 << 20;

/**
 * Reads a header.
 * @param next what was said of this entry before
 * @returns what it says: `type` as the package `tar` calls it ('File', 'Link', ...); whether what follows is a note on the next
 * entry, or on all (see `noteOf`); names as `nameFromBytes` has them, `linkName` for what a link leads to; `size`, the bytes
 * that follow. 'end' for the mark that ends an archive; null where it is no header
 */
export function readHeader(block: Buffer, next: PaxRecords) {
  const said = new Map(next);
  const size = said.get('size');
  const known = size === undefined ? undefined : { size: Number(size) };
  const header = attempt(() => new Header(block, 0, known), null); // it throws for numbers that cannot be read
  if (header?.nullBlock) return 'end';
  if (!header?.cksumValid) return null;
  const name = said.get('path') ?? nameOf(block); // a long name is not put behind the prefix of the short one
  const isFolder = header.type === 'File' && name.endsWith('/'); // in the oldest archives
  return {
    type: isFolder ? 'Directory' : header.type,
    isNote: NOTES.includes(header.type),
    name,
    linkName: said.get('linkpath') ?? textIn(block, 157, 100),
    size: header.size ?? 0,
  };
}

function nameOf(block: Buffer): string {
  const name = textIn(block, 0, 100);
  const isPosix = block.toString('latin1', 257, 265) === 'ustar\x0000';
  // Some keep times in the last 25 bytes of the prefix.
  const prefix = isPosix ? textIn(block, 345, block[475] === 0 ? 130 : 155) : '';
  return prefix === '' ? name : `${prefix}/${name}`;
}

/** What an entry says of the next one. */
export function noteOf(type: string, bytes: Buffer): PaxRecords {
  if (PAX_HEADERS.includes(type)) return paxRecords(bytes);
  if (type === 'GlobalExtendedHeader') return [];
  return [[type === LONG_LINK_NAME ? 'linkpath' : 'path', textIn(bytes)]];
}

/** A text that ends with a 0, or fills its field. */
function textIn(block: Buffer, start = 0, length = block.length): string {
  const field = block.subarray(start, start + length);
  const end = field.indexOf(0);
  return nameFromBytes(end < 0 ? field : field.subarray(0, end));
}

/** Takes apart the records of a pax header: 'LENGTH KEYWORD=VALUE\n', one after the other. */
function paxRecords(bytes: Buffer): PaxRecords {
  const records: PaxRecords = [];
  for (let at = 0; at < bytes.length; ) {
    const blank = bytes.indexOf(0x20, at);
    const length = blank < 0 ? Number.NaN : Number(bytes.toString('latin1', at, blank));
    const record = bytes.subarray(blank + 1, at + length - 1);
    const equals = record.indexOf(0x3d);
    if (!(length > blank - at && at + length <= bytes.length) || equals < 0) break; // what follows cannot be found
    records.push([record.toString('latin1', 0, equals), nameFromBytes(record.subarray(equals + 1))]);
    at += length;
  }
  return records;
}

/**
 * Reads where the parts of an old GNU sparse file lie (type 'S'): four in its header, others in blocks behind it.
 * @param after where the header ends
 * @returns also how many bytes those blocks take; null where the map makes no sense
 */
export async function oldSparseMap(block: Buffer, after: number, size: number, read: Read) {
  const numbers = numbersIn(block, 386, 4);
  let mapBytes = 0;
  for (let isContinued = block[482] !== 0; isContinued; mapBytes += BLOCK) {
    const more = await read(after + mapBytes, BLOCK).catch(() => null);
    if (more?.length !== BLOCK) return null;
    numbers.push(...numbersIn(more, 0, 21));
    isContinued = more[504] !== 0;
  }
  const map = mapOf(numbers, after + mapBytes, size, octal(block, 483));
  return map && { map, mapBytes };
}

/**
 * Reads where the parts of a pax sparse file lie (GNU's versions 0.0, 0.1 and 1.0).
 * @param offset where its data begin, and how many there are
 * @returns undefined where it is none; null where the map makes no sense
 */
export async function paxSparseMap(records: PaxRecords, offset: number, size: number, read: Read) {
  const said = new Map(records);
  const say = (keyword: string) => said.get(`GNU.sparse.${keyword}`);
  const name = say('name');
  if (say('major') === '1') {
    const before = await mapBefore(offset, size, read);
    return before && mapOf(before.numbers, offset + before.bytes, size - before.bytes, decimal(say('realsize')), name);
  }
  if (say('map') === undefined && say('numblocks') === undefined) return undefined;
  const pairs = records.filter(([keyword]) => /^GNU\.sparse\.(?:offset|numbytes)$/.test(keyword));
  const numbers = say('map')?.split(',') ?? pairs.map(([, value]) => value);
  return mapOf(numbers.map(decimal), offset, size, decimal(say('size')), name);
}

/** Version 1.0: the data begin with the number of parts and two numbers for each, a line each, up to a whole block. */
async function mapBefore(offset: number, size: number, read: Read) {
  let text = '';
  for (let bytes = BLOCK; bytes <= Math.min(size, MAX_MAP_BYTES); bytes += BLOCK) {
    text += (await read(offset + bytes - BLOCK, BLOCK)).toString('latin1');
    const lines = text.split('\n');
    const count = decimal(lines[0]);
    if (lines.length > 1 && !(count <= size)) return null;
    if (lines.length > 2 * count + 1) return { numbers: lines.slice(1, 2 * count + 1).map(decimal), bytes };
  }
  return null;
}

/**
 * Parts one after the other in `stored` bytes of the archive.
 * @param numbers of each part, where it belongs and its bytes
 * @returns null where they do not fit it or a file of `size` bytes
 */
function mapOf(numbers: number[], offset: number, stored: number, size: number, name?: string): SparseMap | null {
  const pieces: Piece[] = [];
  let [end, used] = [0, 0];
  for (let index = 0; index < numbers.length; index += 2) {
    const [at, bytes] = [numbers[index], numbers[index + 1] ?? Number.NaN];
    if (!(at >= end && bytes >= 0)) return null;
    if (bytes > 0) pieces.push({ at, offset: offset + used, bytes });
    end = at + bytes;
    used += bytes;
  }
  const fits = used === stored && end <= size && size <= MAX_SIZE;
  return fits ? { ...(name !== undefined && { name }), size, pieces } : null;
}

/** The numbers of at most `most` parts that a block names; an empty field ends them. */
function numbersIn(block: Buffer, start: number, most: number): number[] {
  const numbers: number[] = [];
  for (let at = start; at < start + 24 * most && block[at] !== 0; at += 24) {
    numbers.push(octal(block, at), octal(block, at + 12));
  }
  return numbers;
}

/** A number in a field of 12 bytes; NaN where it is none. */
function octal(block: Buffer, start: number): number {
  const text = textIn(block, start, 12).trim();
  return /^[0-7]+$/.test(text) ? Number.parseInt(text, 8) : Number.NaN;
}

function decimal(text: string | undefined): number {
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : Number.NaN;
}
