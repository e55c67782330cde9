import type { Wire } from '../../base/wire.js';
import { bytesOf, Memory, piecesOf, total } from './arrays.js';
import { shareNumbers } from './share.js';
import { sumOverRanks, sumToOwners } from './sum.js';
import type { Transport } from './transport.js';

/**
 * What the ranks of a run tell one another. Each computes its part of every batch; what is said here makes the step the same
 * on all of them. Every function is called by all ranks, in the same order.
 */
export interface Communicator {
  readonly rank: number;
  readonly size: number;
  /** What it has sent, in bytes, and how long its functions took, in seconds, waiting for slower ranks included. */
  readonly traffic: { bytes: number; seconds: number };
  /**
   * Sums arrays over ranks, element by element, in rank order: the same bits on every rank and each time. The sums are valid
   * until the next call.
   */
  sum(arrays: readonly Float32Array[], wire: Wire): Promise<Float32Array[]>;
  /**
   * The same for arrays of which whole ones belong to a rank, which receives the sums of its own alone.
   * @param counts of the arrays, in their order, that belong to each rank
   */
  sumOwn(arrays: readonly Float32Array[], counts: readonly number[], wire: Wire): Promise<Float32Array[]>;
  /**
   * Gives every rank the numbers of all.
   * @param counts numbers of each rank
   * @returns by rank, but for this rank's own; they stay as they are until the next call
   */
  share(own: readonly Float32Array[], counts: readonly number[]): Promise<Float32Array[]>;
  /** The bytes of every rank, by rank. */
  gather(own: Uint8Array): Promise<Uint8Array[]>;
  /** Gives rank 0 so many bytes of the rank `from`; what it gives the others is empty. */
  toFirst(bytes: Uint8Array | null, from: number, length: number): Promise<Uint8Array>;
  /** The bytes of rank 0; the others give null. */
  broadcast(bytes: Uint8Array | null): Promise<Uint8Array>;
}

/** One rank that is alone: the parts of its batch are computed side by side by the engine. */
export const LOCAL: Communicator = {
  rank: 0,
  size: 1,
  traffic: { bytes: 0, seconds: 0 },
  sum: async (arrays) => [...arrays],
  sumOwn: async (arrays) => [...arrays],
  share: async () => [new Float32Array()],
  gather: async (own) => [own],
  toFirst: async (bytes) => bytes ?? new Uint8Array(),
  broadcast: async (bytes) => bytes ?? new Uint8Array(),
};

/** Most bytes of one operation: MPI counts in 32 bits. */
const MAX_BYTES = 2 ** 30;

/**
 * A communicator over what moves bytes.
 * @param lost rejects where another rank will not answer any more
 */
export function communicatorOver(transport: Transport, lost: Promise<never> = new Promise(() => {})): Communicator {
  const { rank, size } = transport;
  const traffic = { bytes: 0, seconds: 0 };
  const others = size - 1;
  const counted: Transport = {
    ...transport,
    allToAll(send, sendCounts, receive, receiveCounts) {
      traffic.bytes += send.length - sendCounts[rank];
      return transport.allToAll(send, sendCounts, receive, receiveCounts);
    },
    allGather(own, all, counts) {
      traffic.bytes += others * own.length;
      return transport.allGather(own, all, counts);
    },
  };
  const timed = async <T>(work: Promise<T>): Promise<T> => {
    const started = performance.now();
    const result = await Promise.race([work, lost]);
    traffic.seconds += (performance.now() - started) / 1000;
    return result;
  };
  const memory = new Memory();
  return {
    rank,
    size,
    traffic,
    sum: (arrays, wire) => timed(sumOverRanks(counted, arrays, wire, memory)),
    sumOwn: (arrays, counts, wire) => timed(sumToOwners(counted, arrays, counts, wire, memory)),
    share: (own, counts) => timed(shareNumbers(counted, own, counts, memory)),
    gather: (own) => timed(gatherBytes(counted, own)),
    toFirst: (bytes, from, length) => timed(sendToFirst(counted, bytes, from, length)),
    broadcast: (bytes) => timed(broadcastBytes(transport, bytes)),
  };
}

async function gatherBytes(transport: Transport, own: Uint8Array): Promise<Uint8Array[]> {
  const { size } = transport;
  const lengths = new Float64Array(size);
  await transport.allGather(bytesOf(Float64Array.of(own.length)), bytesOf(lengths), Array(size).fill(8));
  const all = Array.from(lengths, (length) => new Uint8Array(length));
  const most = Math.floor(MAX_BYTES / size);
  for (let from = 0; from < Math.max(...lengths); from += most) {
    const counts = Array.from(lengths, (length) => Math.min(most, Math.max(0, length - from)));
    const received = new Uint8Array(total(counts));
    await transport.allGather(own.subarray(from, from + most), received, counts);
    for (const [rank, piece] of piecesOf(received, counts).entries()) all[rank].set(piece, from);
  }
  return all;
}

async function sendToFirst(transport: Transport, bytes: Uint8Array | null, from: number, length: number) {
  const { rank, size } = transport;
  const received = new Uint8Array(rank === 0 ? length : 0);
  for (let start = 0; start < length; start += MAX_BYTES) {
    const count = Math.min(MAX_BYTES, length - start);
    const piece = rank === from && bytes ? bytes.subarray(start, start + count) : new Uint8Array();
    const only = (other: number, isMine: boolean) =>
      Array.from({ length: size }, (_, at) => (isMine && at === other ? count : 0));
    const into = received.subarray(start, start + count);
    await transport.allToAll(piece, only(0, rank === from), into, only(from, rank === 0));
  }
  return received;
}

async function broadcastBytes(transport: Transport, bytes: Uint8Array | null): Promise<Uint8Array> {
  const length = Float64Array.of(bytes?.length ?? 0);
  await transport.broadcast(bytesOf(length), 0);
  const all = bytes ?? new Uint8Array(length[0]);
  for (let from = 0; from < all.length; from += MAX_BYTES) {
    await transport.broadcast(all.subarray(from, from + MAX_BYTES), 0);
  }
  return all;
}
