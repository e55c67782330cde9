import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { reasonOf } from '../../errors.js';
import { type PixelKind, pixelBytes } from '../cut.js';
import type { PixelMachine } from '../pixel-machine.js';
import { type CacheEntry, ENTRY_BYTES, keyAt, keyOf, readEntry, writeEntry } from './entry.js';
import { INDEX, PACK, PackReader, PackWriter } from './pack.js';

export interface CacheSettings {
  /** A folder that exists. */
  folder: string;
  /** What its files may take together. */
  limitBytes: number;
}

/** The place for the pixels of one image. */
export interface CacheSlot {
  /** What is kept; null for nothing. */
  readonly pixels: PixelKind | null;
  /** Reads it into the memory of a machine that is clear. @returns its address; null where it is damaged */
  read(machine: PixelMachine): number | null;
  /** Keeps pixels that lie in the memory of a machine, unless there is no room. */
  keep(pixels: PixelKind, machine: PixelMachine, address: number): void;
}

/** Milliseconds until the folder is looked at again for what others have added. */
const LOOK_AGAIN = 1000;

/**
 * Decoded pictures in a folder, so that they need not be decoded again in later epochs and runs.
 *
 * Node cannot map files into memory; reading at a position from a file that the system holds in its page cache comes to the
 * same but for one copy of the bytes. Every thread of every process adds to a pack of its own, so that none waits for
 * another, and reads the packs of all. Pixels are written before the entry that tells of them, and both have a checksum that is
 * checked at every reading: what a process left half written, what was damaged, and files of something else count as not
 * there. Nothing is ever removed: where the folder is full, no more is kept.
 */
export class PixelCache {
  readonly #packs = new Map<string, PackReader>();
  /** By key: the pack and the place of the entry in its index. */
  readonly #entries = new Map<string, { pack: PackReader; at: number }>();
  #writer: PackWriter | undefined;
  #isFull = false;
  #isClosed = false;
  #nextLook = 0;

  /** @param warn told once, where nothing more can be kept */
  constructor(
    private readonly settings: CacheSettings,
    private readonly warn: (text: string) => void,
  ) {}

  /** The place for the pixels of an image file; null where the file is not there. */
  slotOf(path: string): CacheSlot | null {
    const key = this.#isClosed ? null : keyOf(path);
    if (key === null) return null;
    if (!this.#entries.has(key)) this.#look();
    const place = this.#entries.get(key);
    const entry = place ? readEntry(place.pack.index, place.at) : null;
    return {
      pixels: entry?.pixels ?? null,
      read: (machine) => (entry ? this.#read(key, entry, machine) : null),
      keep: (pixels, machine, address) => this.#keep(key, pixels, machine, address),
    };
  }

  /**
   * Reads pixels into the memory of a machine that is clear.
   * @returns their address; null where they are damaged, and then they are forgotten
   */
  #read(key: string, entry: CacheEntry, machine: PixelMachine): number | null {
    if (this.#isClosed) return null;
    const { pack } = this.#entries.get(key) ?? {};
    const bytes = pixelBytes(entry.pixels);
    const address = machine.reserve(bytes);
    try {
      const isWhole = pack?.read(machine.bytes(address, bytes), entry.offset);
      if (isWhole && machine.functions.checksum(address, bytes) === entry.checksum) return address;
    } catch {
      // What cannot be read is decoded anew, as what is damaged.
    }
    this.#entries.delete(key);
    return null;
  }

  #keep(key: string, pixels: PixelKind, machine: PixelMachine, address: number): void {
    if (this.#isFull || this.#isClosed) return;
    const { folder, limitBytes } = this.settings;
    const bytes = pixelBytes(pixels);
    const checksum = machine.functions.checksum(address, bytes);
    try {
      if (this.#usedBytes() + bytes + ENTRY_BYTES <= limitBytes) {
        this.#writer ??= new PackWriter(folder);
        const undo = this.#writer.add(machine.bytes(address, bytes), (offset) =>
          writeEntry(key, { pixels, offset, checksum }),
        );
        if (this.#usedBytes() <= limitBytes) return;
        undo(); // another thread took the room at the same time
      }
      this.#stop(`it holds as much as --cache-megabytes allows (${limitBytes / 1e6} MB)`);
    } catch (error) {
      this.#stop(reasonOf(error));
    }
  }

  /** Closes all files; crops that are still being made go on without. */
  close(): void {
    this.#isClosed = true;
    this.#writer?.close();
    for (const pack of this.#packs.values()) pack.close();
  }

  #stop(reason: string): void {
    this.#isFull = true;
    this.warn(`no more decoded pictures are kept in ${this.settings.folder}: ${reason}; training goes on`);
  }

  /** Bytes of all packs. */
  #usedBytes(): number {
    const names = readdirSync(this.settings.folder).filter((name) => name.endsWith(PACK) || name.endsWith(INDEX));
    const size = (name: string) => statSync(join(this.settings.folder, name), { throwIfNoEntry: false })?.size ?? 0;
    return names.reduce((sum, name) => sum + size(name), 0);
  }

  /** Takes up what was added to the folder, now and then. Where several tell of one picture, the newest pack counts. */
  #look(): void {
    const now = performance.now();
    if (now < this.#nextLook) return;
    this.#nextLook = now + LOOK_AGAIN;
    for (const path of this.#packPaths()) {
      try {
        const pack = this.#packs.get(path) ?? new PackReader(path);
        this.#packs.set(path, pack);
        const { from, to } = pack.readOn();
        for (let at = from; at < to; at += ENTRY_BYTES) this.#entries.set(keyAt(pack.index, at), { pack, at });
      } catch {
        // A pack that cannot be opened holds nothing.
      }
    }
  }

  /** Without their ends, the oldest first. */
  #packPaths(): string[] {
    const found: { path: string; time: number }[] = [];
    for (const name of listFolder(this.settings.folder)) {
      if (!name.endsWith(INDEX)) continue;
      const path = join(this.settings.folder, name);
      const time = statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
      found.push({ path: path.slice(0, -INDEX.length), time });
    }
    return found.sort((a, b) => a.time - b.time).map(({ path }) => path);
  }
}

function listFolder(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return []; // removed meanwhile
  }
}
