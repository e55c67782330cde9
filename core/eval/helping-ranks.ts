import type { StopSignalName } from '../base/program.js';
import type { LabelledData } from '../contract/data-sets.js';
import { isAbort } from '../data/skipped.js';
import type { Engine } from '../engine/contract.js';
import { broadcastJson, type Ranks } from '../train/communicator/ranks.js';
import { helpExtraction } from './features.js';
import type { FeatureNetwork } from './network.js';
import type { RowOptions } from './rows.js';

/** Features that all ranks compute together: of a part of the data, by the network of this fingerprint. */
export type Order = Omit<RowOptions, 'workers' | 'cacheBytes' | 'signal' | 'ranks'> & {
  network: string;
  split: 'train' | 'test';
};

/** What rank 0 has the other ranks do while it evaluates; where it is alone, nothing. */
export type HelpingRanks = ReturnType<typeof helpingRanks>;

/** Milliseconds between two signs of life of rank 0. */
const ALIVE_MS = 1000;

/** The other ranks, which call `helpEvaluation`. Rank 0 may keep them waiting for as long as what it does alone takes. */
export function helpingRanks(ranks: Ranks) {
  let isAlone = true;
  const alive = setInterval(() => isAlone && ranks.phase('computing'), ALIVE_MS).unref();
  return {
    /** Does work in which the others help, as an order tells them. */
    async withHelp<Result>(order: Order, work: () => Promise<Result>): Promise<Result> {
      if (ranks.size === 1) return work();
      isAlone = false;
      await broadcastJson<Order>(ranks, order);
      const result = await work();
      isAlone = true;
      return result;
    },
    /** Lets the others go on, or stop. */
    async end(stopped: StopSignalName | null): Promise<void> {
      clearInterval(alive);
      if (ranks.size > 1) await broadcastJson<{ stopped: StopSignalName | null }>(ranks, { stopped });
    },
  };
}

/**
 * Helps rank 0 to evaluate networks on some data, until it is done.
 * @returns the signal by which a rank was asked to stop; null where the evaluation goes on
 */
export async function helpEvaluation(
  engine: Engine,
  networks: readonly FeatureNetwork[],
  data: LabelledData,
  { ranks, signal }: { ranks: Ranks; signal: AbortSignal },
): Promise<StopSignalName | null> {
  for (;;) {
    ranks.phase('waiting');
    const order = await broadcastJson<Order | { stopped: StopSignalName | null }>(ranks, null);
    if ('stopped' in order) return order.stopped;
    const network = networks.find(({ facts }) => facts.fingerprint === order.network);
    if (!network) throw new Error(`there is no network ${order.network}`);
    await helpExtraction(engine, network, data[order.split], { ...order, ranks, signal }).catch((error: unknown) => {
      if (!isAbort(error)) throw error; // rank 0 tells by which signal
    });
  }
}
