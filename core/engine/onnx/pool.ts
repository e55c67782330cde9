/** Numbers from which on an array is kept for later: new memory has to be cleared by the system, page after page. */
const LARGE = 2 ** 14;

/** Arrays for outputs of graphs, which are used again once nobody has them any more. */
export class ArrayPool {
  readonly #free = new Map<number, Float32Array[]>();

  /** An array with any content. */
  take(length: number): Float32Array {
    return this.#free.get(length)?.pop() ?? new Float32Array(length);
  }

  /** Takes an array back, which nobody may use from now on; others than large ones of floats are left alone. */
  give(data: unknown): void {
    if (!(data instanceof Float32Array) || data.length < LARGE) return;
    const free = this.#free.get(data.length) ?? [];
    free.push(data);
    this.#free.set(data.length, free);
  }

  /** Drops the free arrays. */
  clear(): void {
    this.#free.clear();
  }
}
