import { createHash } from 'node:crypto';
import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import type { PixelKind } from '../cut.js';

/** Changes whenever the same file gives other pixels, or they are kept in another way. */
export const INDEX_HEADER = Buffer.from('ijepa pixels 1\n\0');
export const ENTRY_BYTES = 48;
const KEY_BYTES = 16;

/** Where the pixels of a picture lie in a pack, and what they are. */
export interface CacheEntry {
  pixels: PixelKind;
  offset: number;
  /** Of the pixels. */
  checksum: number;
}

/**
 * What a file's pixels are kept under: its path, size and time of change, as 16 characters of 8 bits; null where it is not
 * there.
 */
export function keyOf(path: string): string | null {
  const found = statSync(path, { bigint: true, throwIfNoEntry: false });
  if (!found) return null;
  const identity = `${resolve(path)}\0${found.size}\0${found.mtimeNs}`;
  return createHash('sha256').update(identity).digest().toString('latin1', 0, KEY_BYTES);
}

/** The key of an entry in an index. */
export function keyAt(index: Buffer, at: number): string {
  return index.toString('latin1', at, at + KEY_BYTES);
}

export function writeEntry(key: string, { pixels, offset, checksum }: CacheEntry): Buffer {
  const entry = Buffer.alloc(ENTRY_BYTES);
  entry.write(key, 'latin1');
  entry.writeBigUInt64LE(BigInt(offset), 16);
  entry.writeUInt32LE(pixels.width, 24);
  entry.writeUInt32LE(pixels.height, 28);
  entry.writeInt32LE(checksum, 32);
  if (pixels.kind === 'ycc') {
    for (const [at, value] of [pixels.scale, pixels.across, pixels.down, pixels.orientation].entries()) {
      entry[36 + at] = value;
    }
  }
  entry.writeInt32LE(sumOf(entry), 44);
  return entry;
}

/** The entry at a place of an index; null where it is damaged. */
export function readEntry(index: Buffer, at: number): CacheEntry | null {
  const entry = index.subarray(at, at + ENTRY_BYTES);
  if (entry.readInt32LE(44) !== sumOf(entry)) return null;
  const size = { width: entry.readUInt32LE(24), height: entry.readUInt32LE(28) };
  const [scale, across, down, orientation] = [...entry.subarray(36, 40)] as [number, number, number, number];
  const pixels: PixelKind =
    scale === 0 ? { kind: 'rgb', ...size } : { kind: 'ycc', ...size, scale, across, down, orientation };
  return { pixels, offset: Number(entry.readBigUInt64LE(16)), checksum: entry.readInt32LE(32) };
}

/** FNV-1a of all of an entry but its sum. */
function sumOf(entry: Uint8Array): number {
  let sum = 0x811c9dc5 | 0;
  for (let at = 0; at < ENTRY_BYTES - 4; at++) sum = Math.imul(sum ^ (entry[at] as number), 0x01000193);
  return sum;
}
