import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { Header, Pax } from 'tar';
import { bytesOfName } from '../../base/file-names.js';
import { IMAGE_EXTENSIONS } from '../listing/kinds.js';
import { BLOCK } from './tar-header.js';

/** The same for every entry, so that the same content gives the same bytes. */
const FACTS = { mode: 0o644, uid: 0, gid: 0, mtime: new Date(0) };

/** What ends an archive. */
export const END_MARK = Buffer.alloc(2 * BLOCK);

/** Writes an archive from its beginning. */
export class TarWriter {
  readonly #hash = createHash('sha256');
  /** So far. */
  bytes = 0;

  constructor(private readonly file: FileHandle) {}

  /** @returns where the content begins */
  async add(name: string, content: Uint8Array): Promise<number> {
    const { head, padding } = tarEntry(name, content);
    const offset = this.bytes + head.length;
    for (const piece of [head, content, padding]) await this.#write(piece);
    return offset;
  }

  /** @returns SHA-256 of the whole archive */
  async end(): Promise<string> {
    await this.#write(END_MARK);
    return this.#hash.digest('hex');
  }

  async #write(bytes: Uint8Array): Promise<void> {
    this.#hash.update(bytes);
    await this.file.writeFile(bytes); // all of it, where the last one ended; `write` may write less
    this.bytes += bytes.length;
  }
}

/** Bytes that a file of so many takes, unless its name is long. */
export function entryBytes(size: number): number {
  return BLOCK + BLOCK * Math.ceil(size / BLOCK);
}

/** A file as it lies in a tar archive: headers, content, and zeros up to a whole block. */
export function tarEntry(name: string, content: Uint8Array): { head: Buffer; padding: Buffer } {
  const block = Buffer.alloc(BLOCK);
  const header = new Header({ path: name, size: content.length, type: 'File', ...FACTS });
  const isTooLong = header.encode(block); // or not ASCII
  const head = isTooLong ? Buffer.concat([new Pax({ path: name, ...FACTS }).encode(), block]) : block;
  return { head, padding: Buffer.alloc((BLOCK - (content.length % BLOCK)) % BLOCK) };
}

/**
 * Names for the samples of a shard, each with a key of its own: readers take what stands before the first dot of a file's
 * name as its key, and consecutive files of one key as one sample.
 */
export class SampleNames {
  readonly #keys = new Set<string>();

  /**
   * @param place the image's path in its data set; kept as it is where that gives a key of its own
   * @param extension of the image's format, such as 'jpg'; null to leave that of the name
   * @returns the key, and the extension with its dot
   */
  take(place: string, extension: string | null): { key: string; extension: string } {
    const parts = place.split(/[\\/]/).filter((part) => !['', '.', '..'].includes(part) && !/^[A-Za-z]:$/.test(part));
    const base = parts.pop() ?? '';
    const found = extensionOf(base);
    const stem = base.slice(0, base.length - found.length).replaceAll('.', '_') || 'image';
    const wanted = [...parts, stem]
      .join('/')
      .replaceAll(/\p{Cc}/gu, '_')
      .replaceAll(/[\udc80-\udcff]/gu, percent);
    let key = wanted;
    for (let number = 2; this.#keys.has(key); number++) key = `${wanted}-${number}`;
    this.#keys.add(key);
    return { key, extension: extension === null ? found : `.${extension}` };
  }
}

/** A byte of a name that is not UTF-8, as in an address: readers of shards know names as text only. */
function percent(byte: string): string {
  return `%${bytesOfName(byte).toString('hex').toUpperCase()}`;
}

/** 'a.b.JPG' -> '.JPG'; '' where a name does not end like an image. */
export function extensionOf(base: string): string {
  const found = /\.\w+$/.exec(base)?.[0] ?? '';
  return IMAGE_EXTENSIONS.includes(found.toLowerCase()) ? found : '';
}
