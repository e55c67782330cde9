import { WIRE_FORMATS, type Wire } from '../../base/wire.js';
import { Concatenation, type Memory, piecesOf, type Range, total } from './arrays.js';
import type { Transport } from './transport.js';

/** Numbers that travel at once: 32 MiB in float32. */
export const BUCKET = 2 ** 23;
/** Numbers that are summed at once: few enough to stay in the processor's cache. */
const BLOCK = 2 ** 12;

/**
 * Sums arrays over ranks, element by element (an all-reduce): each rank receives its piece of all arrays from all ranks, adds
 * them up in rank order (a reduce-scatter), and gives the sum to the others (an all-gather). MPI's own all-reduce is not
 * guaranteed to be reproducible bit by bit.
 *
 * This is done in buckets, one of which travels while the one before it is summed. A sum is made in double precision and
 * rounded once, so that it hardly depends on how many ranks there are.
 * @param memory of the sums and of what travels, which is used again by the next call
 */
export async function sumOverRanks(
  transport: Transport,
  arrays: readonly Float32Array[],
  wire: Wire,
  memory: Memory,
): Promise<Float32Array[]> {
  const { size } = transport;
  const all = new Concatenation(arrays);
  const sums = memory.numbers('sums', all.length);
  const { encode, decode, bytes } = WIRE_FORMATS[wire];
  const limits = Array.from({ length: size + 1 }, (_, rank) => Math.floor((all.length * rank) / size));
  await sumPieces(transport, all, limits, wire, memory, async (own, ranges) => {
    const counts = ranges.map(([from, to]) => (to - from) * bytes);
    const received = memory.bytes('gathered', total(counts)); // one gather is under way at a time
    await transport.allGather(encode(own, memory.taking('own encoded')), received, counts);
    const pieces = piecesOf(received, counts);
    for (const [piece, [from]] of ranges.entries()) sums.set(decode(pieces[piece], memory.taking('decoded')), from);
  });
  return all.split(sums);
}

/**
 * A reduce-scatter: each rank receives the sums of its own piece alone, of arrays of which whole ones belong to a rank.
 * @param counts of the arrays, in their order, that belong to each rank
 */
export async function sumToOwners(
  transport: Transport,
  arrays: readonly Float32Array[],
  counts: readonly number[],
  wire: Wire,
  memory: Memory,
): Promise<Float32Array[]> {
  const all = new Concatenation(arrays);
  const limits = [0];
  for (const count of counts) limits.push((limits.at(-1) as number) + count);
  const starts = limits.map((array) => all.start(array));
  const [first, last] = [limits[transport.rank], limits[transport.rank + 1]];
  const sums = memory.numbers('sums', starts[transport.rank + 1] - starts[transport.rank]);
  await sumPieces(transport, all, starts, wire, memory, async (own, ranges) => {
    sums.set(own, ranges[transport.rank][0] - starts[transport.rank]);
  });
  return new Concatenation(arrays.slice(first, last)).split(sums);
}

/**
 * Sums the pieces of all arrays, bucket by bucket.
 * @param limits where the piece of each rank begins, and the last one ends
 * @param use takes the sums of a bucket's part of this rank's piece, and where the parts of all ranks lie
 */
async function sumPieces(
  transport: Transport,
  all: Concatenation,
  limits: readonly number[],
  wire: Wire,
  memory: Memory,
  use: (own: Float32Array, ranges: readonly Range[]) => Promise<void>,
): Promise<void> {
  const { rank, size } = transport;
  const { encode, decode, bytes } = WIRE_FORMATS[wire];
  const bucketCount = Math.ceil(all.length / BUCKET);
  const rangesOf = (bucket: number) =>
    limits.slice(1).map((end, piece): Range => {
      const [start, length] = [limits[piece], end - limits[piece]];
      return [bucket, bucket + 1].map((at) => start + Math.floor((length * at) / bucketCount)) as [number, number];
    });
  const scatter = async (bucket: number) => {
    const ranges = rangesOf(bucket);
    const [from, to] = ranges[rank];
    const received = memory.bytes(`received ${bucket % 2}`, size * (to - from) * bytes);
    const receiveCounts = Array<number>(size).fill((to - from) * bytes);
    const sendCounts = ranges.map(([from, to]) => (to - from) * bytes);
    const sent = all.read(ranges, memory.numbers(`sent ${bucket % 2}`, total(sendCounts) / bytes));
    await transport.allToAll(encode(sent, memory.taking(`encoded ${bucket % 2}`)), sendCounts, received, receiveCounts);
    return { ranges, pieces: piecesOf(received, receiveCounts) };
  };
  let arriving = bucketCount > 0 ? scatter(0) : null;
  let leaving: Promise<void> | null = null;
  for (let bucket = 0; arriving; bucket++) {
    const { ranges, pieces }: Awaited<ReturnType<typeof scatter>> = await arriving;
    arriving = bucket + 1 < bucketCount ? scatter(bucket + 1) : null;
    await leaving;
    const arrays = pieces.map((piece, from) => decode(piece, memory.taking(`piece ${from}`)));
    leaving = use(sumOfArrays(arrays, memory.numbers('own', arrays[0].length)), ranges);
  }
  await leaving;
}

/** Σ over arrays of one length, in their order. @param sums where they go */
export function sumOfArrays(
  pieces: readonly Float32Array[],
  sums: Float32Array = new Float32Array(pieces[0].length),
): Float32Array {
  const [first] = pieces;
  const block = new Float64Array(BLOCK);
  for (let from = 0; from < sums.length; from += BLOCK) {
    const length = Math.min(BLOCK, sums.length - from);
    for (let i = 0; i < length; i++) block[i] = first[from + i];
    for (const piece of pieces.slice(1)) for (let i = 0; i < length; i++) block[i] += piece[from + i];
    for (let i = 0; i < length; i++) sums[from + i] = block[i];
  }
  return sums;
}
