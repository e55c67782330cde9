import type { TakeMemory } from '../../base/wire.js';

/** Memory by name, which is used again: new memory for each bucket takes longer than what is written into it. */
export class Memory {
  readonly #buffers = new Map<string, ArrayBuffer>();

  bytes(name: string, length: number): Uint8Array {
    const known = this.#buffers.get(name);
    const buffer = known && known.byteLength >= length ? known : new ArrayBuffer(length);
    this.#buffers.set(name, buffer);
    return new Uint8Array(buffer, 0, length);
  }

  /** What takes memory under a name. */
  taking(name: string): TakeMemory {
    return (length) => this.bytes(name, length);
  }

  numbers(name: string, length: number): Float32Array {
    return new Float32Array(this.bytes(name, 4 * length).buffer, 0, length);
  }
}

/** From one number up to another. */
export type Range = readonly [from: number, to: number];

/** Consecutive parts of an array, of the given lengths. */
export function piecesOf(bytes: Uint8Array, lengths: readonly number[]): Uint8Array[] {
  let end = 0;
  return lengths.map((length) => {
    end += length;
    return bytes.subarray(end - length, end);
  });
}

/** Arrays as if they were one. */
export class Concatenation {
  readonly #starts: number[] = [];
  readonly length: number;

  constructor(private readonly arrays: readonly Float32Array[]) {
    let length = 0;
    for (const array of arrays) {
      this.#starts.push(length);
      length += array.length;
    }
    this.length = length;
  }

  /** Where an array starts; the end of all after the last one. */
  start(array: number): number {
    return this.#starts[array] ?? this.length;
  }

  /** Copies ranges, which follow one another, side by side. */
  read(ranges: readonly Range[], copy: Float32Array): Float32Array {
    let written = 0;
    let first = 0;
    for (const [from, to] of ranges) {
      while (first < this.arrays.length && this.start(first + 1) <= from) first++;
      for (let array = first; array < this.arrays.length && this.start(array) < to; array++) {
        const start = this.start(array);
        const part = this.arrays[array].subarray(Math.max(0, from - start), to - start);
        copy.set(part, written);
        written += part.length;
      }
    }
    return copy;
  }

  /** As many numbers, cut as the arrays are. */
  split(numbers: Float32Array): Float32Array[] {
    return this.arrays.map(({ length }, at) => numbers.subarray(this.#starts[at], this.#starts[at] + length));
  }
}

/** Σ */
export function total(counts: readonly number[]): number {
  return counts.reduce((sum, count) => sum + count, 0);
}

/** The memory of an array, as bytes. */
export function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
