import { randomUUID } from 'node:crypto';
import { closeSync, fstatSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { ENTRY_BYTES, INDEX_HEADER } from './entry.js';

/** The ends of the names of a pack's two files. */
export const PACK = '.pixels';
export const INDEX = '.index';

/** A pack that is read: its index so far, and its pixels. */
export class PackReader {
  #index = Buffer.alloc(0);
  #indexFile: number;
  #pixelFile: number;
  #bad = false;

  /** @throws Error if the files cannot be opened */
  constructor(path: string) {
    this.#indexFile = openSync(path + INDEX, 'r');
    this.#pixelFile = openSync(path + PACK, 'r');
  }

  get index(): Buffer {
    return this.#index;
  }

  /** Reads what has been added to the index. @returns where the new entries begin in `index`, and where they end */
  readOn(): { from: number; to: number } {
    const from = Math.max(this.#index.length, INDEX_HEADER.length);
    const size = this.#bad ? 0 : fstatSync(this.#indexFile).size;
    const to = size - ((size - INDEX_HEADER.length) % ENTRY_BYTES); // the last entry may not be whole yet
    if (to <= from && this.#index.length > 0) return { from, to: from };
    if (size < INDEX_HEADER.length) return { from, to: from };
    const grown = Buffer.alloc(to);
    grown.set(this.#index);
    let at = this.#index.length;
    while (at < to) {
      const read = readSync(this.#indexFile, grown, at, to - at, at);
      if (read === 0) break;
      at += read;
    }
    if (at < to || !grown.subarray(0, INDEX_HEADER.length).equals(INDEX_HEADER)) {
      this.#bad = true; // another program's file, or one of another version
      return { from, to: from };
    }
    this.#index = grown;
    return { from, to };
  }

  /** Fills `target` with pixels. @returns whether there were so many */
  read(target: Uint8Array, offset: number): boolean {
    let at = 0;
    while (at < target.length) {
      const read = readSync(this.#pixelFile, target, at, target.length - at, offset + at);
      if (read === 0) return false;
      at += read;
    }
    return true;
  }
}

/** A new pack that is written by one thread: pixels first, then the entry that tells of them. */
export class PackWriter {
  readonly name = randomUUID();
  #pixelFile: number;
  #indexFile: number;
  #pixelEnd = 0;
  #indexEnd: number;

  /** @throws Error if the files cannot be made */
  constructor(folder: string) {
    this.#pixelFile = openSync(join(folder, this.name + PACK), 'wx');
    this.#indexFile = openSync(join(folder, this.name + INDEX), 'wx');
    this.#indexEnd = writeAll(this.#indexFile, INDEX_HEADER, 0);
  }

  /**
   * @param entryAt gives the entry for the place of the pixels
   * @returns takes it back
   * @throws Error if there is no room; what was added before stays
   */
  add(pixels: Uint8Array, entryAt: (offset: number) => Buffer): () => void {
    const [pixelEnd, indexEnd] = [this.#pixelEnd, this.#indexEnd];
    const undo = () => {
      ftruncateSync(this.#indexFile, indexEnd);
      ftruncateSync(this.#pixelFile, pixelEnd);
      [this.#pixelEnd, this.#indexEnd] = [pixelEnd, indexEnd];
    };
    try {
      this.#pixelEnd = writeAll(this.#pixelFile, pixels, pixelEnd);
      this.#indexEnd = writeAll(this.#indexFile, entryAt(pixelEnd), indexEnd);
      return undo;
    } catch (error) {
      undo();
      throw error;
    }
  }

  close(): void {
    closeSync(this.#pixelFile);
    closeSync(this.#indexFile);
  }
}

/** @returns the place after the bytes */
function writeAll(file: number, bytes: Uint8Array, offset: number): number {
  let at = 0;
  while (at < bytes.length) at += writeSync(file, bytes, at, bytes.length - at, offset + at);
  return offset + at;
}
