import { bytesOfName, nameFromBytes } from '../../core/plugin.js';

/** A growing list of names, kept as bytes one after the other: a fraction of what as many strings would take. */
export class NameTable {
  #bytes = Buffer.alloc(1 << 12);
  #ends = new Float64Array(1 << 8);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  add(name: string): void {
    const bytes = bytesOfName(name);
    const start = this.#end(this.#length);
    const end = start + bytes.length;
    while (end > this.#bytes.length) this.#bytes = Buffer.concat([this.#bytes], 2 * this.#bytes.length);
    if (this.#length === this.#ends.length) {
      const longer = new Float64Array(2 * this.#length);
      longer.set(this.#ends);
      this.#ends = longer;
    }
    this.#bytes.set(bytes, start);
    this.#ends[this.#length++] = end;
  }

  /** Name number `index`, from 0. */
  at(index: number): string {
    if (!(index >= 0 && index < this.#length)) throw new Error(`there is no image ${index} of ${this.#length}`);
    return nameFromBytes(this.#bytes.subarray(this.#end(index), this.#end(index + 1)));
  }

  /** Where the first `count` names end. */
  #end(count: number): number {
    return count === 0 ? 0 : (this.#ends[count - 1] as number);
  }
}
