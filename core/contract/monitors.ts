import type { ImageItem } from './data-sets.js';

/** Looks at a run before its first step and every `watchEverySteps`, and says what it sees. */
export interface Monitor<Memory = unknown> {
  name: string;
  summary: string;
  /** The names of its values: columns of log.csv, and curves. */
  values: readonly string[];
  /** Called once when a run starts or goes on; what it gives keeps no state of its own. */
  start(run: RunFacts): {
    /**
     * @param memory what the look before wanted remembered, as JSON has it; null at the first look. Checkpoints hold it, so
     *   that a run that was interrupted sees what it would have seen.
     */
    look(seen: Seen, memory: Memory | null): Finding<Memory> | Promise<Finding<Memory>>;
  };
}

export interface RunFacts {
  seed: number;
  totalSteps: number;
  /** The n images that are watched, in the order of the rows of `features`. */
  images: readonly Pick<ImageItem, 'name' | 'labels'>[];
  /** D, the width of the features. */
  width: number;
}

export interface Seen {
  /** Steps done. */
  step: number;
  /** Loss of the last one; null before the first. */
  loss: number | null;
  /** Outputs of the target encoder for the watched images, averaged over patches, row by row, [n, D]. */
  features: Float32Array;
  /** Their standard deviation over images, as a mean over features. */
  deviation: number;
  /** Their effective number of directions (RankMe), from 1 to n. */
  rank: number;
}

export interface Finding<Memory = unknown> {
  /** Finite numbers; one that is left out is empty in the log. */
  values?: Readonly<Record<string, number>>;
  /** For people, where there is something to say. */
  message?: string;
  /** What the run comes to so far. That of the last look is told when the run ends, and by `ijepa runs`. */
  verdict?: Verdict;
  /** For the next look; plain data. */
  memory?: Memory;
}

export interface Verdict {
  /** Whether what the monitor looks out for has not come. */
  isWell: boolean;
  /** One sentence without full stop. */
  text: string;
}
