import { constants } from 'node:buffer';
import type { Stats } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { printable, reasonOf, systemProblem, UserError } from '../../base/errors.js';
import { readInto, withRegularFile } from '../../base/files.js';

/** Bytes that are read at once: an array holds twice as many, which those of 16 bits become. */
const LARGEST_PART = constants.MAX_LENGTH / 2;

/** Bytes of a file that hold a storage. */
export interface Place {
  start: number;
  length: number;
  /** Their CRC-32; null where it was not taken. */
  checksum: number | null;
}

/** A file of which parts are read when they are asked for. */
export class TorchSource {
  constructor(
    readonly path: string,
    private readonly found: Stats,
  ) {}

  get size(): number {
    return this.found.size;
  }

  /** Part of the file while it is open. */
  async readOpen(file: FileHandle, start: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
    // Before any memory is set aside.
    if (start + length > this.size) throw this.unreadable(`it ends after ${this.size} bytes`);
    if (length > LARGEST_PART) throw this.unreadable(`it has a tensor of ${length} bytes, more than ${LARGEST_PART}`);
    const bytes = new Uint8Array(length);
    const read = await readInto(file, bytes, start);
    if (read < length) throw this.unreadable(`it ends after ${start + read} bytes`);
    return bytes;
  }

  /** The same of a place in it, whose checksum is taken where that is all of it. */
  async readOpenPlace(file: FileHandle, place: Place, offset = 0, length = place.length): Promise<ArrayBuffer> {
    const bytes = await this.readOpen(file, place.start + offset, length);
    const isWhole = length === place.length && place.checksum !== null;
    if (isWhole && checksumOf(bytes) !== place.checksum) throw this.unreadable('its bytes do not match their checksum');
    return bytes.buffer;
  }

  /** Part of a place, later. */
  async read(place: Place, offset: number, length: number): Promise<ArrayBuffer> {
    return withRegularFile(this.path, async (file, { size, mtimeMs }) => {
      if (size !== this.size || mtimeMs !== this.found.mtimeMs) throw this.unreadable('it has changed meanwhile');
      return this.readOpenPlace(file, place, offset, length);
    });
  }

  /** What some work on the file's content gives; whatever it throws is a reason not to read the file. */
  async attempt<T>(what: string, work: () => T | Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (error instanceof UserError || systemProblem(error) !== undefined) throw error;
      throw this.unreadable(`${what}: ${reasonOf(error)}`);
    }
  }

  unreadable(reason: string): UserError {
    return new UserError(`${this.path} cannot be read as a file of PyTorch: ${reason}`, {
      expected: 'a whole file, as torch.save wrote it',
      remedy: 'use a fresh copy of it',
    });
  }

  /** Of a file that asks for something that is none of the few things that are read. */
  notAllowed(name: string): UserError {
    return new UserError(`${this.path} asks for ${printable(name, 200)}, which is not read`, {
      expected: 'tensors in dictionaries and lists: a model must not be executed to be read',
      remedy: 'save the weights alone in Python: torch.save(model.state_dict(), FILE)',
    });
  }
}

/** CRC-32 as in zip archives; the library takes at most 4 GiB at once. */
export function checksumOf(bytes: Uint8Array): number {
  const piece = 2 ** 30;
  let sum = 0;
  for (let at = 0; at < bytes.length; at += piece) sum = crc32(bytes.subarray(at, at + piece), sum);
  return sum;
}
