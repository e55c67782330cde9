import { createHash } from 'node:crypto';
import { bytesOfName } from '../../base/file-names.js';

/** Names one after the other in one string: a fraction of the memory of as many strings. */
export class NameColumn {
  readonly #text: string;
  readonly #ends: Uint32Array;

  constructor(names: readonly string[]) {
    let end = 0;
    this.#text = names.join('');
    this.#ends = Uint32Array.from(names, (name) => {
      end += name.length;
      return end;
    });
  }

  get length(): number {
    return this.#ends.length;
  }

  at(index: number): string {
    return this.#text.slice(index === 0 ? 0 : this.#ends[index - 1], this.#ends[index]);
  }
}

/** Lists one after the other, whose items have numbers from 0 on. */
export class Chain<List extends { readonly length: number }> {
  readonly lists: List[] = [];
  /** The number of the item after the last one of each list. */
  readonly #ends: number[] = [];

  get length(): number {
    return this.#ends.at(-1) ?? 0;
  }

  add(list: List): void {
    this.lists.push(list);
    this.#ends.push(this.length + list.length);
  }

  /** The list that has item number `index`, the item's place there, and the numbers of the list's first item and after its last. */
  find(index: number) {
    if (!(index >= 0 && index < this.length)) throw new Error(`there is no image ${index} of ${this.length}`);
    let low = 0;
    for (let high = this.#ends.length - 1; low < high; ) {
      const middle = (low + high) >> 1;
      if (index < this.#ends[middle]) high = middle;
      else low = middle + 1;
    }
    const first = this.#ends[low - 1] ?? 0;
    return { list: this.lists[low], at: index - first, first, end: this.#ends[low] };
  }
}

/** Stands for images by their names and sizes in bytes, in their order: the same wherever and however they are stored. */
export function createFingerprint(): { add(name: string, bytes: number): void; value(): string } {
  const hash = createHash('sha256');
  return {
    add: (name, bytes) => hash.update(name.isWellFormed() ? `${name}\0${bytes}\n` : bytesOfName(`${name}\0${bytes}\n`)),
    value: () => hash.digest('hex'),
  };
}
