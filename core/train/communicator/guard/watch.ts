import { lossReport, nameOf, type Peer, PHASES, silenceReport } from './contract.js';

const WAITING = PHASES.indexOf('waiting');

/** What is known of a rank; times in seconds. */
type Seen = { phase: number; counter: number; silent: number; still: number; isGone: boolean };

/**
 * Judges, on rank 0, by what was heard and when, whether a rank is lost. Time is what passes while rank 0 itself runs: when
 * a machine was asleep, it is no silence of the others.
 */
export class Watch {
  readonly #seen: Seen[];

  /** @param limits seconds without a sign of life, and seconds in which nobody gets on */
  constructor(
    private readonly peers: readonly Peer[],
    private readonly limits: { silence: number; patience: number },
  ) {
    this.#seen = peers.map(() => ({ phase: 0, counter: 0, silent: 0, still: 0, isGone: false }));
  }

  /** A rank has said what it is doing. */
  heard(rank: number, phase: number, counter: number): void {
    const seen = this.#seen[rank];
    if (!seen) return;
    seen.silent = 0;
    if (seen.phase === phase && seen.counter === counter) return;
    Object.assign(seen, { phase, counter, still: 0 });
  }

  /** A rank has said goodbye. */
  leave(rank: number): void {
    const seen = this.#seen[rank];
    if (seen) seen.isGone = true;
  }

  /** Lets time pass. @returns the message about a rank that is lost */
  pass(seconds: number): string | null {
    const { peers, limits } = this;
    for (const seen of this.#seen) {
      seen.silent += seconds;
      seen.still += seconds;
    }
    const silent = this.#seen.findIndex(({ silent, isGone }) => silent >= limits.silence && !isGone);
    return silent < 0 ? this.#standstill() : silenceReport(silent, peers, limits.silence);
  }

  /** The rank for which others wait, where none gets on: the one that has stood still for longest. */
  #standstill(): string | null {
    const { peers, limits } = this;
    const here = this.#seen.filter(({ isGone }) => !isGone);
    const isStill = here.every(({ still }) => still >= limits.patience);
    if (!isStill || !here.some(({ phase }) => phase === WAITING)) return null;
    const busy = here.filter(({ phase }) => phase !== WAITING).sort((a, b) => b.still - a.still)[0];
    if (!busy) return lossReport(`all ranks have been waiting for one another for ${limits.patience} s`);
    const name = nameOf(this.#seen.indexOf(busy), peers);
    const doing = `has been ${PHASES[busy.phase]} for ${limits.patience} s`;
    return lossReport(`${name} ${doing} while the others wait`);
  }
}
