import type { Networks, Tensors } from '../../methods/method.js';

/**
 * What the ranks of a run have to tell one another. A rank computes its part of each batch; sums over all ranks make the
 * step the same on each of them.
 */
export interface Communicator {
  readonly rank: number;
  readonly size: number;
  /** Sums over ranks, in rank order; the given tensors are used up. */
  allReduceSum<Group extends Tensors | Networks>(tensors: Group): Promise<Group>;
}

/** One rank that is alone: the parts of its batch are computed side by side by the engine. */
export const LOCAL: Communicator = { rank: 0, size: 1, allReduceSum: async (tensors) => tensors };
