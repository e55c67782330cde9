import { bytesOf, Concatenation, type Memory, piecesOf, total } from './arrays.js';
import { BUCKET } from './sum.js';
import type { Transport } from './transport.js';

/**
 * Gives every rank the numbers of all, bucket by bucket: an all-gather.
 * @param counts numbers of each rank
 * @returns those of all ranks, by rank, in memory that stays as it is until the next call; where this rank's own would be,
 *   there is nothing
 */
export async function shareNumbers(
  transport: Transport,
  arrays: readonly Float32Array[],
  counts: readonly number[],
  memory: Memory,
): Promise<Float32Array[]> {
  const { rank } = transport;
  const own = new Concatenation(arrays);
  const all = piecesOf(
    memory.bytes('shared', 4 * total(counts)),
    counts.map((count) => 4 * count),
  );
  const bucketCount = Math.ceil(total(counts) / BUCKET);
  for (let bucket = 0; bucket < bucketCount; bucket++) {
    const ranges = counts.map((count) => [bucket, bucket + 1].map((at) => Math.floor((count * at) / bucketCount)));
    const lengths = ranges.map(([from, to]) => 4 * (to - from));
    const [from, to] = ranges[rank];
    const sent = own.read([[from, to]], memory.numbers('sent', to - from));
    const received = memory.bytes('received', total(lengths));
    await transport.allGather(bytesOf(sent), received, lengths);
    for (const [other, piece] of piecesOf(received, lengths).entries()) {
      if (other !== rank) all[other].set(piece, 4 * ranges[other][0]);
    }
  }
  return all.map((bytes) => new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4));
}
