import { BLOCK, type PaxRecords, textIn } from './tar-header.js';

/** A part of a file's content that lies in the archive. What lies in none is zeros. */
export interface Piece {
  /** Where it belongs, in bytes from the start of the content. */
  at: number;
  /** Where it lies, in bytes from the start of the archive. */
  offset: number;
  bytes: number;
}

/** A file with holes: where its parts lie. */
export interface SparseMap {
  /** Its name, where the entry has another one. */
  name?: string;
  /** Bytes of its content, holes included. */
  size: number;
  pieces: Piece[];
}

type Read = (offset: number, length: number) => Promise<Buffer>;
type Extent = [at: number, bytes: number];

/** Bytes of a file with holes above which none is made up: archives of a few bytes can claim any number. */
const LARGEST = 2 ** 30;
/** Bytes of a map that is written as text. */
const LONGEST_MAP = 1 << 20;

/**
 * Reads where the parts of an old GNU sparse file lie (type 'S'): four in its header, others in blocks behind it.
 * @param block its header
 * @param after where the header ends
 * @returns also how many bytes those blocks take; null where the map makes no sense
 */
export async function oldSparseMap(
  block: Buffer,
  after: number,
  size: number,
  read: Read,
): Promise<{ map: SparseMap; mapBytes: number } | null> {
  const extents = extentsIn(block, 386, 4);
  let isContinued = block[482] !== 0;
  let mapBytes = 0;
  for (; isContinued; mapBytes += BLOCK) {
    const more = await read(after + mapBytes, BLOCK).catch(() => null);
    if (more?.length !== BLOCK) return null;
    extents.push(...extentsIn(more, 0, 21));
    isContinued = more[504] !== 0;
  }
  const map = place(extents, after + mapBytes, size, octal(block, 483));
  return map && { map, mapBytes };
}

/**
 * Reads where the parts of a pax sparse file lie (GNU's versions 0.0, 0.1 and 1.0).
 * @param offset where its data begin, and how many there are
 * @returns undefined where it is none; null where the map makes no sense
 */
export async function paxSparseMap(
  records: PaxRecords,
  offset: number,
  size: number,
  read: Read,
): Promise<SparseMap | null | undefined> {
  const said = new Map(records);
  const name = said.get('GNU.sparse.name');
  const named = (map: SparseMap | null) => (map && name !== undefined ? { ...map, name } : map);
  if (said.get('GNU.sparse.major') === '1') {
    const numbers = await mapBefore(offset, size, read);
    return (
      numbers &&
      named(
        place(
          pairs(numbers.values),
          offset + numbers.bytes,
          size - numbers.bytes,
          decimal(said.get('GNU.sparse.realsize')),
        ),
      )
    );
  }
  const whole = decimal(said.get('GNU.sparse.size'));
  const list = said.get('GNU.sparse.map');
  if (list !== undefined) return named(place(pairs(list.split(',').map(decimal)), offset, size, whole));
  if (!said.has('GNU.sparse.numblocks')) return undefined;
  const keywords = ['GNU.sparse.offset', 'GNU.sparse.numbytes'];
  const numbers = records.filter(([keyword]) => keywords.includes(keyword)).map(([, value]) => decimal(value));
  return named(place(pairs(numbers), offset, size, whole));
}

/** Version 1.0: the data begin with the number of parts and two numbers for each, a line each, up to a whole block. */
async function mapBefore(
  offset: number,
  size: number,
  read: Read,
): Promise<{ values: number[]; bytes: number } | null> {
  let text = '';
  for (let bytes = BLOCK; bytes <= Math.min(size, LONGEST_MAP); bytes += BLOCK) {
    text += (await read(offset + bytes - BLOCK, BLOCK)).toString('latin1');
    const lines = text.split('\n');
    const count = decimal(lines[0]);
    if (lines.length > 1 && !(count <= size)) return null;
    if (lines.length > 2 * count + 1) return { values: lines.slice(1, 2 * count + 1).map(decimal), bytes };
  }
  return null;
}

/** Parts one after the other in `stored` bytes of the archive; null where they do not fit it or a file of `size` bytes. */
function place(extents: readonly Extent[], offset: number, stored: number, size: number): SparseMap | null {
  const pieces: Piece[] = [];
  let [end, used] = [0, 0];
  for (const [at, bytes] of extents) {
    if (!(at >= end && bytes >= 0)) return null;
    if (bytes > 0) pieces.push({ at, offset: offset + used, bytes });
    end = at + bytes;
    used += bytes;
  }
  return used === stored && end <= size && size <= LARGEST ? { size, pieces } : null;
}

/** The parts that a block names; one of an empty field ends them. */
function extentsIn(block: Buffer, start: number, most: number): Extent[] {
  const extents: Extent[] = [];
  for (let at = start; at < start + 24 * most && block[at] !== 0; at += 24) {
    extents.push([octal(block, at), octal(block, at + 12)]);
  }
  return extents;
}

function pairs(numbers: readonly number[]): Extent[] {
  return Array.from({ length: Math.ceil(numbers.length / 2) }, (_, at) => [
    numbers[2 * at] as number,
    numbers[2 * at + 1] ?? Number.NaN,
  ]);
}

/** A number in a field of 12 bytes; NaN where it is none. */
function octal(block: Buffer, start: number): number {
  const text = textIn(block, start, 12).trim();
  return /^[0-7]+$/.test(text) ? Number.parseInt(text, 8) : Number.NaN;
}

function decimal(text: string | undefined): number {
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : Number.NaN;
}
