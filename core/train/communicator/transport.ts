/**
 * Moves bytes between the ranks of a run: what is needed of MPI, and no more. Every rank calls the same functions in the same
 * order; each call starts at once, so that several may be under way, and ends beside the event loop. Memory that is given
 * must neither move nor change until then.
 */
export interface Transport {
  readonly rank: number;
  readonly size: number;
  /** For people: 'Open MPI 4.1.4 (/usr/lib/x86_64-linux-gnu/libmpi.so.40)'. */
  readonly title: string;
  /**
   * Sends each rank a piece of its own: the pieces lie one after the other, by rank.
   * @param sendCounts bytes for each rank
   * @param receiveCounts bytes from each rank
   */
  allToAll(
    send: Uint8Array,
    sendCounts: readonly number[],
    receive: Uint8Array,
    receiveCounts: readonly number[],
  ): Promise<void>;
  /** Gives every rank the pieces of all, one after the other, by rank; `counts` are their bytes. */
  allGather(own: Uint8Array, all: Uint8Array, counts: readonly number[]): Promise<void>;
  /** Gives every rank the bytes of rank `root`. */
  broadcast(bytes: Uint8Array, root: number): Promise<void>;
  /**
   * Waits for the other ranks and ends MPI.
   * @param code the exit code of this process
   * @returns whether it has ended; where it has not, the process is to be ended by `exitAtOnce`
   */
  close(code: number): Promise<boolean>;
}
