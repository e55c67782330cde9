import { piecesOf } from '../../core/train/communicator/arrays.js';
import { type Communicator, communicatorOver } from '../../core/train/communicator/communicator.js';
import type { Transport } from '../../core/train/communicator/transport.js';

/** Lets so many ranks of one process work at the same time: what they tell one another is copied when all have said it. */
export function inRanks<Result>(
  size: number,
  work: (communicator: Communicator, rank: number) => Promise<Result>,
): Promise<Result[]> {
  const exchanges: { given: unknown[]; done: PromiseWithResolversOf<unknown[]> }[] = [];
  const turns = Array<number>(size).fill(0);
  /** What every rank gives in the same turn. */
  const meet = <Given>(rank: number, given: Given): Promise<Given[]> => {
    const turn = turns[rank]++;
    exchanges[turn] ??= { given: [], done: withResolvers() };
    const { given: all, done } = exchanges[turn];
    all[rank] = given;
    if (Object.keys(all).length === size) done.resolve(all);
    return done.promise as Promise<Given[]>;
  };
  const transportOf = (rank: number): Transport => ({
    rank,
    size,
    title: 'ranks of one process',
    async allToAll(send, sendCounts, receive, receiveCounts) {
      const all = await meet(rank, piecesOf(send.slice(), sendCounts));
      for (const [from, piece] of piecesOf(receive, receiveCounts).entries()) piece.set(all[from][rank]);
    },
    async allGather(own, all, counts) {
      const given = await meet(rank, own.slice());
      for (const [from, piece] of piecesOf(all, counts).entries()) piece.set(given[from]);
    },
    async broadcast(bytes, root) {
      const given = await meet(rank, bytes.slice());
      bytes.set(given[root]);
    },
    close: async () => true,
  });
  return Promise.all(Array.from({ length: size }, (_, rank) => work(communicatorOver(transportOf(rank)), rank)));
}

type PromiseWithResolversOf<T> = { promise: Promise<T>; resolve: (value: T) => void };

function withResolvers<T>(): PromiseWithResolversOf<T> {
  let resolve: (value: T) => void = () => {};
  const promise = new Promise<T>((keep) => {
    resolve = keep;
  });
  return { promise, resolve };
}
