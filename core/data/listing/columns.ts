import { bytesOfName, nameFromBytes } from '../../base/file-names.js';

/** Files in a fixed order: names in one buffer, sizes in one array, and every folder once, so that millions of them fit. */
export class FileColumns {
  readonly #folders: { path: string; prefix: string }[] = [];
  #names = Buffer.alloc(1 << 16);
  #starts = new Uint32Array(1 << 12);
  #folderOf = new Uint32Array(1 << 12);
  #bytes = new Float64Array(1 << 12);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /**
   * Starts the files of another folder.
   * @param path whatever `add`'s names are to be joined to
   * @param prefix of the names in `place`, with '/' at its end, or ''
   */
  openFolder(path: string, prefix: string): void {
    this.#folders.push({ path, prefix });
  }

  /** Adds a file of the folder that was opened last. */
  add(name: string, bytes: number): void {
    const at = this.#length;
    if (at + 1 >= this.#starts.length) this.#grow();
    const start = this.#starts[at] as number;
    const most = start + 3 * name.length;
    if (most > this.#names.length) {
      const larger = Buffer.alloc(Math.max(most, 2 * this.#names.length));
      larger.set(this.#names);
      this.#names = larger;
    }
    const written = name.isWellFormed() ? this.#names.write(name, start) : bytesOfName(name).copy(this.#names, start);
    this.#starts[at + 1] = start + written;
    this.#folderOf[at] = this.#folders.length - 1;
    this.#bytes[at] = bytes;
    this.#length++;
  }

  folder(index: number): string {
    return this.#folderAt(index).path;
  }

  /** The file's path from what the user named. */
  place(index: number): string {
    return this.#folderAt(index).prefix + this.name(index);
  }

  name(index: number): string {
    return nameFromBytes(this.#names.subarray(this.#starts[index], this.#starts[index + 1]));
  }

  bytes(index: number): number {
    return this.#bytes[index] as number;
  }

  #folderAt(index: number): { path: string; prefix: string } {
    return this.#folders[this.#folderOf[index] as number] as { path: string; prefix: string };
  }

  #grow(): void {
    const length = 2 * this.#starts.length;
    this.#starts = copyInto(new Uint32Array(length), this.#starts);
    this.#folderOf = copyInto(new Uint32Array(length), this.#folderOf);
    this.#bytes = copyInto(new Float64Array(length), this.#bytes);
  }
}

function copyInto<T extends Uint32Array | Float64Array>(larger: T, smaller: T): T {
  larger.set(smaller);
  return larger;
}
