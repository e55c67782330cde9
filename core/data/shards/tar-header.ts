import { Header } from 'tar';
import { nameFromBytes } from '../../base/file-names.js';

/** A header is a block, and all that follows it fills whole blocks. */
export const BLOCK = 512;

/** What the header of an entry says; names as `nameFromBytes` has them. */
export interface TarHeader {
  /** As the package `tar` calls it: 'File', 'Link', ... */
  type: string;
  name: string;
  /** What a link leads to. */
  linkName: string;
  /** Bytes that follow. */
  size: number;
}

/** Keywords and values that a pax header says of the next entry, in their order. */
export type PaxRecords = [keyword: string, value: string][];

/**
 * Reads a header.
 * @param next what was said of this entry before
 * @returns 'end' for the mark that ends an archive; null where it is no header
 */
export function readHeader(block: Buffer, next: PaxRecords): TarHeader | 'end' | null {
  const said = new Map(next);
  const size = said.get('size');
  let header: Header;
  try {
    header = new Header(block, 0, size === undefined ? undefined : { size: Number(size) });
  } catch {
    return null; // numbers that cannot be read
  }
  if (header.nullBlock) return 'end';
  if (!header.cksumValid) return null;
  const name = said.get('path') ?? nameOf(block); // a long name is not put behind the prefix of the short one
  const isFolder = header.type === 'File' && name.endsWith('/'); // in the oldest archives
  return {
    type: isFolder ? 'Directory' : header.type,
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

/** A text that ends with a 0, or fills its field. */
export function textIn(block: Buffer, start: number, length: number): string {
  const field = block.subarray(start, start + length);
  const end = field.indexOf(0);
  return nameFromBytes(end < 0 ? field : field.subarray(0, end));
}

/** Takes apart the records of a pax header: 'LENGTH KEYWORD=VALUE\n', one after the other. */
export function paxRecords(bytes: Buffer): PaxRecords {
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
