/**
 * The k largest of many numbers, in one pass: a heap with the smallest of them at its root, so that most numbers cost one
 * comparison. Of equal numbers those that came first stay.
 */
export class Largest {
  readonly #values: Float32Array;
  readonly #indices: Uint32Array;

  /** @param count k; fewer are kept where fewer were offered */
  constructor(count: number) {
    this.#values = new Float32Array(count).fill(Number.NEGATIVE_INFINITY);
    this.#indices = new Uint32Array(count).fill(NONE);
  }

  /** Takes in numbers, of which the first one's index is `first`. Those that are no numbers are passed over. */
  offer(numbers: Float32Array, first: number): void {
    const [values, indices] = [this.#values, this.#indices];
    let smallest = values[0] as number;
    for (let at = 0; at < numbers.length; at++) {
      const value = numbers[at] as number;
      if (value > smallest) {
        replaceRoot(values, indices, value, first + at);
        smallest = values[0] as number;
      }
    }
  }

  /** The numbers kept, largest first. */
  sorted(): { value: number; index: number }[] {
    const [values, indices] = [this.#values, this.#indices];
    return Array.from(values, (value, at) => ({ value, index: indices[at] as number }))
      .filter(({ index }) => index !== NONE)
      .sort((a, b) => b.value - a.value || a.index - b.index);
  }
}

/** The index of a place that is still free. */
const NONE = 0xffffffff;

/** Puts a number into the heap in place of its root. Of equal numbers the one that came last is nearer to the root. */
function replaceRoot(values: Float32Array, indices: Uint32Array, value: number, index: number): void {
  const count = values.length;
  let place = 0;
  for (let child = 1; child < count; child = 2 * place + 1) {
    const other = child + 1;
    if (other < count) {
      const [left, right] = [values[child] as number, values[other] as number];
      if (right < left || (right === left && (indices[other] as number) > (indices[child] as number))) child = other;
    }
    const below = values[child] as number;
    if (value < below || (value === below && index > (indices[child] as number))) break;
    values[place] = below;
    indices[place] = indices[child] as number;
    place = child;
  }
  values[place] = value;
  indices[place] = index;
}
