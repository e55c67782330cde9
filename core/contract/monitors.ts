import type { ImageItem } from './data-sets.js';

/** Observes a run before its first step and every `watchEverySteps`, and reports on it. */
export interface Monitor<Memory = unknown> {
  name: string;
  summary: string;
  /** The names of its values: columns of log.csv, and curves. */
  values: readonly string[];
  /** Called once when a run starts or goes on; what it gives keeps no state of its own. */
  start(run: RunFacts): {
    /**
     * @param memory what the last observation wanted remembered, as JSON has it; null at the first. Checkpoints hold it, so
     *   that a run that was interrupted goes on as if it had not been.
     */
    observe(input: MonitorInput, memory: Memory | null): MonitorReport<Memory> | Promise<MonitorReport<Memory>>;
  };
}

export interface RunFacts {
  seed: number;
  totalSteps: number;
  /** The n images that are watched, in the order of the rows of `features`. */
  images: readonly Pick<ImageItem, 'name' | 'labels'>[];
  /** D, the width of the features. */
  width: number;
  /** Whether the method's targets are of the images alone, as pixels are, and not of a network that learns. */
  fixedTargets: boolean;
}

export interface MonitorInput {
  /** Steps done. */
  step: number;
  /** Loss of the last one; null before the first. */
  loss: number | null;
  /** Outputs of the encoder that is judged for the watched images, as `Backbone.features` has them, row by row, [n, D]. */
  features: Float32Array;
  /** Their standard deviation over images, as a mean over features. */
  std: number;
  /** Their effective number of directions (RankMe), from 1 to n. */
  rank: number;
}

export interface MonitorReport<Memory = unknown> {
  /** Finite numbers; one that is left out is empty in the log. */
  values?: Readonly<Record<string, number>>;
  /** For people, where there is something to say. */
  message?: string;
  /** What the run comes to so far. The last one is told when the run ends, and by `ijepa runs`. */
  verdict?: Verdict;
  /** For the next observation; plain data. */
  memory?: Memory;
}

export interface Verdict {
  /** Whether what the monitor looks out for has not come. */
  isWell: boolean;
  /** One sentence without full stop. */
  text: string;
}
