import { inflateSync } from 'node:zlib';
import type { Size } from '../picture.js';

/** The numbers that an indexed or grey PNG holds, before they become colours: classes of pixels. */
export interface ClassMask extends Size {
  /** [height, width] */
  ids: Uint8Array;
}

const SIGNATURE = '89504e470d0a1a0a';
const GREY = 0;
const INDEXED = 3;
const COLOURS: Readonly<Record<number, string>> = { 2: 'RGB', 4: 'grey with transparency', 6: 'RGB with transparency' };

/**
 * Reads the numbers of an indexed or grey PNG of 1 to 8 bits as they stand in the file (PNG specification, sections 7, 9 and
 * 11): sharp gives the colours of a palette, or scales grey of few bits.
 * @throws Error with the reason in one line
 */
export function readClassMask(bytes: Uint8Array, pixelLimit: number): ClassMask {
  if (Buffer.from(bytes.subarray(0, 8)).toString('hex') !== SIGNATURE) throw new Error('it is no PNG');
  const parts: Uint8Array[] = [];
  let header: DataView | undefined;
  for (const { kind, data } of chunksOf(bytes)) {
    if (kind === 'IHDR') header = new DataView(data.buffer, data.byteOffset, data.length);
    if (kind === 'IDAT') parts.push(data);
  }
  if (header?.byteLength !== 13) throw new Error('it has no header');
  const [width, height] = [header.getUint32(0), header.getUint32(4)];
  const [bits, colours, interlaced] = [header.getUint8(8), header.getUint8(9), header.getUint8(12)];
  if (colours !== GREY && colours !== INDEXED) {
    throw new Error(`it is ${COLOURS[colours] ?? 'a picture of colours'}, not indexed or grey numbers of classes`);
  }
  if (bits > 8)
    throw new Error('it has numbers of 16 bits: there can be classes 0 to 254, and 255 for what is ignored');
  if (![1, 2, 4, 8].includes(bits)) throw new Error(`it has numbers of ${bits} bits`);
  if (interlaced !== 0) throw new Error('it is interlaced');
  if (width === 0 || height === 0) throw new Error('it has no pixels');
  if (width * height > pixelLimit) {
    throw new Error(`it has ${width} x ${height} pixels, more than the limit of ${pixelLimit}`);
  }
  const stride = Math.ceil((width * bits) / 8);
  const rows = unfilter(inflate(parts, height * (stride + 1)), stride, height);
  const ids = new Uint8Array(width * height);
  const mask = (1 << bits) - 1;
  for (let at = 0; at < ids.length; at++) {
    const [row, bit] = [Math.floor(at / width), (at % width) * bits];
    ids[at] = (rows[row * stride + (bit >> 3)] >> (8 - bits - (bit & 7))) & mask;
  }
  return { width, height, ids };
}

function* chunksOf(bytes: Uint8Array): Generator<{ kind: string; data: Uint8Array }> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = 8; at + 12 <= bytes.length; ) {
    const length = view.getUint32(at);
    if (at + 12 + length > bytes.length) throw new Error('it is cut short');
    const kind = Buffer.from(bytes.subarray(at + 4, at + 8)).toString('latin1');
    yield { kind, data: bytes.subarray(at + 8, at + 8 + length) };
    if (kind === 'IEND') return;
    at += 12 + length;
  }
  throw new Error('it is cut short');
}

function inflate(parts: readonly Uint8Array[], expected: number): Uint8Array {
  let data: Buffer;
  try {
    data = inflateSync(Buffer.concat(parts), { maxOutputLength: expected });
  } catch {
    throw new Error('its pixels are damaged');
  }
  if (data.length === expected) return data;
  throw new Error('it has fewer pixels than its header says');
}

/** Rows without their filters, which predict each byte from that before (a), above (b) and before that one (c). */
function unfilter(filtered: Uint8Array, stride: number, height: number): Uint8Array {
  const rows = new Uint8Array(height * stride);
  for (let row = 0; row < height; row++) {
    const filter = filtered[row * (stride + 1)];
    if (filter > 4) throw new Error('its pixels are damaged');
    for (let at = 0; at < stride; at++) {
      const here = row * stride + at;
      const a = at > 0 ? rows[here - 1] : 0;
      const b = row > 0 ? rows[here - stride] : 0;
      const c = at > 0 && row > 0 ? rows[here - stride - 1] : 0;
      const predicted = [0, a, b, (a + b) >> 1, paeth(a, b, c)][filter];
      rows[here] = filtered[row * (stride + 1) + 1 + at] + predicted;
    }
  }
  return rows;
}

/** Of a, b and c the one nearest to a + b - c, of equals the first. */
function paeth(a: number, b: number, c: number): number {
  const [toA, toB, toC] = [Math.abs(b - c), Math.abs(a - c), Math.abs(a + b - 2 * c)];
  if (toA <= toB && toA <= toC) return a;
  return toB <= toC ? b : c;
}
