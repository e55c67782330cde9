/**
 * Part of the time that probing takes where the program chooses how often: with the first and the last probe below 5%, also
 * where later ones take longer than the first one, as logistic regression does on features that have learned something.
 */
const PART = 1 / 60;
/** Steps whose median says how long a step takes. */
const TIMED = 10;

/** How long a probe took, and after which step. */
export type TimedProbe = { step: number; seconds: number };

/**
 * Decides after which steps a run is probed: every few, or so seldom that probing takes a sixtieth of the time; and after
 * the last one. The clock then decides when, never what is trained.
 */
export class ProbeTimes {
  #seconds: number[] = [];
  #next: number | null = null;

  /**
   * @param every steps from one probe to the next; null where the time that they take decides
   * @param last the newest probe, of an earlier session too; null where there was none
   */
  constructor(
    private readonly every: number | null,
    private readonly totalSteps: number,
    private last: TimedProbe | null,
  ) {}

  /** Whether the run is probed after a step that is about to be taken. */
  isDueAfter(step: number): boolean {
    if (step === this.totalSteps) return true;
    if (this.every !== null) return step % this.every === 0;
    return this.#next !== null && step >= this.#next;
  }

  /** Hears how long a step took, without a probe. */
  tookStep(step: number, seconds: number): void {
    if (this.every !== null || this.#next !== null) return;
    this.#seconds.push(seconds);
    if (this.#seconds.length === TIMED) this.#next = this.#nextAfter(step);
  }

  /** Hears how long a probe took; the steps after it are timed anew. */
  tookProbe(probe: TimedProbe): void {
    this.last = probe;
    this.#seconds = [];
    this.#next = null;
  }

  /** Where one more probe would not fit in before the one after the last step, that is the next one. */
  #nextAfter(step: number): number {
    const median = this.#seconds.toSorted((a, b) => a - b)[TIMED / 2] ?? 0;
    const { step: at, seconds } = this.last ?? { step, seconds: 0 };
    const interval = seconds / PART / Math.max(median, 1e-9);
    const next = Math.max(step + 1, at + Math.ceil(interval));
    return next + interval > this.totalSteps ? this.totalSteps : next;
  }
}
