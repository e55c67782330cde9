import type { Engine } from '../contract.js';
import type { OnnxBackend } from './backend.js';
import { instantiateKernels, LANES, NUMBERS, type UpdateKernels } from './update-kernels.js';

/** Bytes of an arena; the system gives them when they are written. */
const ARENA = 2 ** 29;
/** Floats that are copied next to others at once: few enough to stay in the processor's cache. */
const BLOCK = 2 ** 14;

/**
 * The update in one pass over memory, in place and on the host: it reads and writes each number once, where a graph would
 * read and write it some twenty times and give new arrays for all. Sums are made in the first tensor's memory.
 */
export function updatesOnHost(backend: OnnxBackend): Pick<Engine, 'updateParameter' | 'accumulate'> {
  const memory = new UpdateMemory();
  const add = makeAdder();
  return {
    async updateParameter(slot, gradient, rates, { beta1, beta2, epsilon }) {
      const grad = await backend.peek(gradient);
      const arrays = Object.values(slot).map((tensor) => backend.recorded(tensor).data as Float32Array);
      const arena = memory.arenaFor(arrays);
      const value = backend.ownData(slot.value, arena);
      const first = backend.ownData(slot.first, arena);
      const second = backend.ownData(slot.second, arena);
      const target = slot.target && backend.ownData(slot.target, arena);
      const { decayFactor, stepSize, sqrtBiasCorrection2, emaDecay } = rates;
      const squares = arena.update(
        { value: value.data, first: first.data, second: second.data, target: target?.data },
        grad,
        {
          beta1,
          oneMinusBeta1: 1 - beta1,
          beta2,
          oneMinusBeta2: 1 - beta2,
          decayFactor,
          stepSize,
          inverseSqrtBiasCorrection2: 1 / sqrtBiasCorrection2,
          epsilon,
          emaDecay,
          oneMinusEmaDecay: 1 - emaDecay,
        },
      );
      const updated = { value: value.tensor, first: first.tensor, second: second.tensor };
      return { slot: target ? { ...updated, target: target.tensor } : updated, squares };
    },
    async accumulate(sum, addend) {
      await backend.peek(sum);
      const added = await backend.peek(addend);
      const { tensor, data } = backend.ownData(sum);
      add(data, added);
      addend.dispose();
      return tensor;
    },
  };
}

type UpdateNumbers = Readonly<Record<(typeof NUMBERS)[number], number>>;

/** A parameter's values, moments and target, all in one arena. */
type SlotData = Record<'value' | 'first' | 'second', Float32Array> & { target?: Float32Array | undefined };

/** WebAssembly memory in which parameters and their moments lie, so that vector instructions reach them. */
export class UpdateMemory {
  #newest: Arena | null = null;
  /** The arena of a buffer. Arenas are freed with the last tensor that lies in them. */
  readonly #arenas = new WeakMap<ArrayBufferLike, Arena>();

  /** The arena in which these arrays lie together; where they do not, one that has space for all. */
  arenaFor(arrays: readonly Float32Array[]): Arena {
    const [first] = arrays as [Float32Array];
    const arena = this.#arenas.get(first.buffer);
    if (arena && arrays.every((array) => arena.owns(array))) return arena;
    const bytes = arrays.reduce((sum, array) => sum + paddedBytes(array.length), 0);
    if (!this.#newest?.hasSpaceFor(bytes)) {
      this.#newest = new Arena(Math.max(ARENA, bytes + Arena.OWN_BYTES));
      this.#arenas.set(this.#newest.buffer, this.#newest);
    }
    return this.#newest;
  }
}

/** A memory of its own with the kernels that work on it. */
class Arena {
  /** What it needs besides the arrays. */
  static readonly OWN_BYTES = paddedBytes(NUMBERS.length) + paddedBytes(LANES) + paddedBytes(BLOCK);
  readonly buffer: ArrayBufferLike;
  readonly #kernels: UpdateKernels;
  readonly #numbers: Float32Array;
  readonly #squares: Float32Array;
  readonly #gradient: Float32Array;
  #used = 0;

  constructor(bytes: number) {
    this.#kernels = instantiateKernels(bytes);
    this.buffer = this.#kernels.memory;
    this.#numbers = this.#take(NUMBERS.length);
    this.#squares = this.#take(LANES);
    this.#gradient = this.#take(BLOCK);
  }

  hasSpaceFor(bytes: number): boolean {
    return this.#used + bytes <= this.buffer.byteLength;
  }

  owns(data: Float32Array): boolean {
    return data.buffer === this.buffer;
  }

  /** Copies data into its memory. */
  copy(data: Float32Array): Float32Array {
    const copy = this.#take(data.length);
    copy.set(data);
    return copy;
  }

  /**
   * Updates a parameter that lies in it.
   * @returns Σ θ² of the new values
   */
  update({ value, first, second, target }: SlotData, gradient: Float32Array, numbers: UpdateNumbers): number {
    this.#numbers.set(NUMBERS.map((name) => numbers[name]));
    const kernel = target ? this.#kernels.updateWithTarget : this.#kernels.update;
    const [own, squares] = [this.#numbers.byteOffset, this.#squares.byteOffset];
    let sum = 0;
    for (let from = 0; from < gradient.length; from += BLOCK) {
      const block = gradient.subarray(from, from + BLOCK);
      const groups = Math.ceil(block.length / LANES);
      this.#gradient.set(block);
      this.#gradient.fill(0, block.length, groups * LANES); // the arrays' padding stays 0
      const addresses = [value, first, second, target ?? value].map((data) => data.byteOffset + 4 * from);
      kernel(groups, this.#gradient.byteOffset, ...addresses, own, squares);
      sum += this.#squares.reduce((total, square) => total + square, 0);
    }
    return sum;
  }

  #take(length: number): Float32Array {
    const array = new Float32Array(this.buffer, this.#used, length);
    this.#used += paddedBytes(length);
    return array;
  }
}

/**
 * What adds arrays of one length, the first of which is changed in place: with vector instructions, block by block in memory
 * of its own, twice as fast as a loop.
 */
function makeAdder(): (sum: Float32Array, addend: Float32Array) => void {
  const { memory, add } = instantiateKernels(2 * paddedBytes(BLOCK));
  const left = new Float32Array(memory, 0, BLOCK);
  const right = new Float32Array(memory, paddedBytes(BLOCK), BLOCK);
  return (sum, addend) => {
    for (let from = 0; from < sum.length; from += BLOCK) {
      const block = sum.subarray(from, from + BLOCK);
      left.set(block);
      right.set(addend.subarray(from, from + BLOCK));
      add(Math.ceil(block.length / LANES), left.byteOffset, right.byteOffset);
      block.set(left.subarray(0, block.length));
    }
  };
}

/** The bytes of so many floats, up to the next whole vector. */
function paddedBytes(length: number): number {
  return 4 * LANES * Math.ceil(length / LANES);
}
