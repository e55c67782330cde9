import { PluginError, textOf } from '../../core/plugin.js';
import { IMAGE_BYTES, type Part } from './part.js';

/** A record: coarse class, fine class, image. */
const RECORD_BYTES = 2 + IMAGE_BYTES;

/** Reads a file of records. */
export function readRecords(place: string, bytes: Buffer): Part {
  const count = bytes.length / RECORD_BYTES;
  if (!Number.isInteger(count)) {
    throw new PluginError(`${place} has ${bytes.length} bytes, which is no whole number of records: it is cut`, {
      expected: `a multiple of ${RECORD_BYTES} bytes, for example ${Math.ceil(count) * RECORD_BYTES}`,
      remedy: 'unpack or fetch it anew',
    });
  }
  const labels = Uint8Array.from({ length: count }, (_, index) => bytes[index * RECORD_BYTES + 1] as number);
  return { place, data: bytes, first: 2, stride: RECORD_BYTES, labels };
}

/** Reads the names of the classes, one a line. */
export function readClassNames(bytes: Buffer, place: string): string[] {
  return textOf(bytes, place)
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== '');
}
