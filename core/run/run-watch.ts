import type { Options } from '../config/schema.js';
import { cropSettings, microBatchSizeOf } from '../config/settings.js';
import type { Ijepa } from '../methods/ijepa/model.js';
import type { Parameters } from '../nn/parameters.js';
import type { ImageCollection } from '../plugin.js';
import type { Brought } from '../plugins/brought.js';
import { Monitors, type MonitorValues } from './monitors.js';
import { loadWatchImages, meanDeviation, pooledFeatures, rankMe } from './watch.js';
import type { Spread, WatchMemory } from './watch-memory.js';

/** Most images that are encoded at once. */
const MOST_TOGETHER = 32;

/** What a look saw: the spread of the features, and the monitors' values. */
export interface WatchLook {
  spread: Spread;
  monitors: MonitorValues;
}

/** Looks at the target encoder's features of a run's fixed images now and then, and lets monitors look at them. */
export class RunWatch {
  /** The last spread of this session. */
  latest: Spread | null = null;

  private constructor(
    private readonly model: Ijepa,
    private readonly pixels: Float32Array,
    private readonly together: number,
    private readonly monitors: Monitors,
    private first: Spread | null,
  ) {}

  /**
   * Reads the images; in a new run, looks at the features before the first step.
   * @param memory what a checkpoint remembered, or null in a new run
   * @param report takes what monitors have to say
   */
  static async start(
    run: { options: Options; model: Ijepa; images: ImageCollection; totalSteps: number },
    monitors: readonly Brought<'monitor'>[],
    target: Parameters,
    memory: WatchMemory | null,
    report: (message: string) => void,
  ): Promise<RunWatch> {
    const { options, model, totalSteps } = run;
    const { seed, imageSize, watchImages } = options;
    const { pixelLimit } = cropSettings(options);
    const { pixels, images } = await loadWatchImages(run.images, watchImages, imageSize, seed, pixelLimit);
    const together = Math.min(MOST_TOGETHER, microBatchSizeOf(options));
    const facts = { seed, totalSteps, images, width: model.size.encoder.dim };
    const asked = new Monitors(monitors, facts, memory ?? { monitors: {}, verdicts: {} }, report);
    const watch = new RunWatch(model, pixels, together, asked, memory?.first ?? null);
    if (!memory) await watch.look(target, 0, null);
    return watch;
  }

  /** What is remembered from one look to the next; null before the first one. */
  get memory(): WatchMemory | null {
    const { memories, verdicts } = this.monitors;
    return this.first && { first: this.first, monitors: memories, verdicts };
  }

  /** Looks after a step, whose loss was the given one; null before the first step. */
  async look(target: Parameters, step: number, loss: number | null): Promise<WatchLook> {
    const features = await pooledFeatures(this.model, target, this.pixels, this.together);
    const rows = features.length / this.model.size.encoder.dim;
    const spread = { deviation: meanDeviation(features, rows), rank: rankMe(features, rows) };
    this.first ??= spread;
    this.latest = spread;
    return { spread, monitors: await this.monitors.look({ step, loss, features, ...spread }) };
  }
}
