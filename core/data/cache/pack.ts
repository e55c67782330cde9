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
  #pixelFile: number;
  #isBad = false;

  /** @throws Error if there are no pixels */
  constructor(private readonly path: string) {
    this.#pixelFile = openSync(path + PACK, 'r');
  }

  get index(): Buffer {
    return this.#index;
  }

  /**
   * Reads what has been added to the index.
   * @returns where the new entries begin in `index`, and where they end
   * @throws Error if it cannot be read
   */
  readOn(): { from: number; to: number } {
    const from = Math.max(this.#index.length, INDEX_HEADER.length);
    const nothing = { from, to: from };
    if (this.#isBad) return nothing;
    const file = openSync(this.path + INDEX, 'r');
    try {
      const { size } = fstatSync(file);
      const to = size - ((size - INDEX_HEADER.length) % ENTRY_BYTES); // the last entry may not be whole yet
      if (to <= this.#index.length || size < INDEX_HEADER.length) return nothing;
      const grown = Buffer.alloc(to);
      grown.set(this.#index);
      const isWhole = readAll(file, grown.subarray(this.#index.length), this.#index.length);
      this.#isBad = !grown.subarray(0, INDEX_HEADER.length).equals(INDEX_HEADER); // of something else, or of another version
      if (!isWhole || this.#isBad) return nothing;
      this.#index = grown;
      return { from, to };
    } finally {
      closeSync(file);
    }
  }

  /** Fills `target` with pixels. @returns whether there were so many */
  read(target: Uint8Array, offset: number): boolean {
    return readAll(this.#pixelFile, target, offset);
  }

  close(): void {
    closeSync(this.#pixelFile);
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

/** @returns whether there were enough bytes */
function readAll(file: number, target: Uint8Array, offset: number): boolean {
  let at = 0;
  while (at < target.length) {
    const read = readSync(file, target, at, target.length - at, offset + at);
    if (read === 0) return false;
    at += read;
  }
  return true;
}

/** @returns the place after the bytes */
function writeAll(file: number, bytes: Uint8Array, offset: number): number {
  let at = 0;
  while (at < bytes.length) at += writeSync(file, bytes, at, bytes.length - at, offset + at);
  return offset + at;
}
