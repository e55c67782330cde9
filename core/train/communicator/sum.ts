import { WIRE_FORMATS, type Wire } from '../../base/wire.js';
import type { Transport } from './transport.js';

/** Numbers that travel at once: 32 MiB in float32. */
export const BUCKET = 2 ** 23;
/** Numbers that are summed at once: few enough to stay in the processor's cache. */
const BLOCK = 2 ** 12;

/**
 * Sums arrays over ranks, element by element: each rank receives its piece of all arrays from all ranks, adds them up in
 * rank order, and gives the sum to the others. MPI's own reductions do not promise the same bits twice.
 *
 * This is done in buckets, one of which travels while the one before it is summed. A sum is made in double precision and
 * rounded once, so that it hardly depends on how many ranks there are.
 * @param buffers keeps the memory of the sums from one call to the next
 */
export async function sumOverRanks(
  transport: Transport,
  arrays: readonly Float32Array[],
  wire: Wire,
  buffers: { sums: Float32Array },
): Promise<Float32Array[]> {
  const { rank, size } = transport;
  const all = new Concatenation(arrays);
  if (buffers.sums.length !== all.length) buffers.sums = new Float32Array(all.length);
  const { sums } = buffers;
  const bucketCount = Math.ceil(all.length / BUCKET);
  const format = WIRE_FORMATS[wire];

  /** Where each rank's piece of a bucket begins and the last one ends. */
  const bounds = (bucket: number) => {
    const from = Math.floor((all.length * bucket) / bucketCount);
    const length = Math.floor((all.length * (bucket + 1)) / bucketCount) - from;
    return Array.from({ length: size + 1 }, (_, piece) => from + Math.floor((length * piece) / size));
  };
  const scatter = async (bucket: number) => {
    const starts = bounds(bucket);
    const send = format.encode(all.read(starts[0], starts[size]));
    const own = starts[rank + 1] - starts[rank];
    const received = new Uint8Array(size * own * format.bytes);
    const counts = starts.slice(1).map((end, piece) => (end - starts[piece]) * format.bytes);
    await transport.allToAll(send, counts, received, Array(size).fill(own * format.bytes));
    return { starts, counts, pieces: piecesOf(received, Array(size).fill(own * format.bytes)).map(format.decode) };
  };
  const gather = async ({ starts, counts, pieces }: Awaited<ReturnType<typeof scatter>>) => {
    const own = format.encode(sumPieces(pieces));
    const received = new Uint8Array((starts[size] - starts[0]) * format.bytes);
    await transport.allGather(own, received, counts);
    sums.set(format.decode(received), starts[0]);
  };
  let arriving = bucketCount > 0 ? scatter(0) : null;
  let leaving: Promise<void> | null = null;
  for (let bucket = 0; arriving; bucket++) {
    const arrived: Awaited<ReturnType<typeof scatter>> = await arriving;
    arriving = bucket + 1 < bucketCount ? scatter(bucket + 1) : null;
    await leaving;
    leaving = gather(arrived);
  }
  await leaving;
  return all.split(sums);
}

/** Consecutive parts of an array, of the given lengths. */
export function piecesOf(bytes: Uint8Array, lengths: readonly number[]): Uint8Array[] {
  let end = 0;
  return lengths.map((length) => {
    end += length;
    return bytes.subarray(end - length, end);
  });
}

/** Arrays as if they were one. */
class Concatenation {
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

  /** A copy of the numbers `from` up to `to`. */
  read(from: number, to: number): Float32Array {
    const copy = new Float32Array(to - from);
    for (const [at, array] of this.arrays.entries()) {
      const start = this.#starts[at];
      const part = array.subarray(Math.max(0, from - start), Math.max(0, to - start));
      if (part.length > 0) copy.set(part, Math.max(0, start - from));
    }
    return copy;
  }

  /** As many numbers, cut as the arrays are. */
  split(numbers: Float32Array): Float32Array[] {
    return this.arrays.map(({ length }, at) => numbers.subarray(this.#starts[at], this.#starts[at] + length));
  }
}

/** Σ over the pieces, in their order. */
export function sumPieces(pieces: readonly Float32Array[]): Float32Array {
  const [first] = pieces;
  const sums = new Float32Array(first.length);
  const block = new Float64Array(BLOCK);
  for (let from = 0; from < sums.length; from += BLOCK) {
    const length = Math.min(BLOCK, sums.length - from);
    for (let i = 0; i < length; i++) block[i] = first[from + i];
    for (const piece of pieces.slice(1)) for (let i = 0; i < length; i++) block[i] += piece[from + i];
    for (let i = 0; i < length; i++) sums[from + i] = block[i];
  }
  return sums;
}
