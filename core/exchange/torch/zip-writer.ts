import type { FileHandle } from 'node:fs/promises';
import { checksumOf } from './source.js';

/*
 * The zip format (APPNOTE 6.3): for each entry a header and its bytes, then the directory of all entries, then where that
 * lies. Sizes and places are always told in the 64 bits of zip64, so that large files need nothing else.
 */

/** Bytes of an entry start at a multiple of this, so that PyTorch can map them into memory. */
const ALIGNMENT = 64;
/** The version of the format that has zip64: 4.5. */
const VERSION = 45;
/** Says that names are UTF-8. */
const FLAGS = 0x800;
/** 1 January 1980, the first day that there is. */
const DATE = 0x21;
/** In the place of a number that is told in 64 bits. */
const ELSEWHERE = 0xffffffff;
/** Fields of an entry: its numbers of 64 bits; padding, by PyTorch's own number for it. */
const WIDE = 1;
const PADDING = 0x4246;
const FIELD_HEADER = 4;

/** Writes a zip archive of entries that are not compressed, one after the other. */
export class ZipWriter {
  #at = 0;
  readonly #directory: Buffer[] = [];

  constructor(private readonly file: FileHandle) {}

  async add(name: string, content: Uint8Array): Promise<void> {
    const start = this.#at;
    const named = Buffer.from(name);
    const facts = [
      ...[uint(2, VERSION), uint(2, FLAGS), uint(2, 0), uint(2, 0), uint(2, DATE)], // not compressed, at midnight
      ...[uint(4, checksumOf(content)), uint(4, ELSEWHERE), uint(4, ELSEWHERE), uint(2, named.length)],
    ];
    const sizes = [uint(8, content.length), uint(8, content.length)];
    const header = (fields: Buffer) =>
      Buffer.concat([uint(4, 0x04034b50), ...facts, uint(2, fields.length), named, fields]);
    const wide = field(WIDE, sizes);
    const unpadded = start + header(wide).length + FIELD_HEADER;
    const padding = Buffer.alloc((ALIGNMENT - (unpadded % ALIGNMENT)) % ALIGNMENT);
    await this.#append(header(Buffer.concat([wide, field(PADDING, [padding])])));
    await this.#append(content);

    const place = field(WIDE, [...sizes, uint(8, start)]);
    const rest = [uint(2, 0), uint(2, 0), uint(2, 0), uint(4, 0), uint(4, ELSEWHERE)]; // comment, disk, attributes
    const entry = [uint(4, 0x02014b50), uint(2, VERSION), ...facts, uint(2, place.length), ...rest, named, place];
    this.#directory.push(Buffer.concat(entry));
  }

  /** Writes what comes after the last entry. */
  async end(): Promise<void> {
    const start = this.#at;
    const count = this.#directory.length;
    const directory = Buffer.concat(this.#directory);
    await this.#append(directory);
    const record = this.#at;
    const disks = [uint(4, 0), uint(4, 0)];
    await this.#append(
      Buffer.concat([
        ...[uint(4, 0x06064b50), uint(8, 44), uint(2, VERSION), uint(2, VERSION), ...disks], // 44 bytes follow the size
        ...[uint(8, count), uint(8, count), uint(8, directory.length), uint(8, start)],
        ...[uint(4, 0x07064b50), uint(4, 0), uint(8, record), uint(4, 1)],
        ...[uint(4, 0x06054b50), uint(2, 0), uint(2, 0), uint(2, 0xffff), uint(2, 0xffff)],
        ...[uint(4, ELSEWHERE), uint(4, ELSEWHERE), uint(2, 0)],
      ]),
    );
  }

  async #append(bytes: Uint8Array): Promise<void> {
    await this.file.appendFile(bytes);
    this.#at += bytes.length;
  }
}

/** A whole number in so many bytes, little-endian. */
function uint(bytes: 2 | 4 | 8, value: number): Buffer {
  const buffer = Buffer.alloc(8);
  buffer.writeBigUInt64LE(BigInt(value));
  return buffer.subarray(0, bytes);
}

function field(id: number, content: readonly Buffer[]): Buffer {
  const bytes = Buffer.concat(content);
  return Buffer.concat([uint(2, id), uint(2, bytes.length), bytes]);
}
