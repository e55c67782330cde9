import type { Options } from '../config/schema.js';
import { cropSettings, objectiveOf } from '../config/settings.js';
import type { Ijepa } from '../model/ijepa.js';
import type { Parameters } from '../model/parameters.js';
import type { ImageCollection } from '../plugin.js';
import { judgeSpread, loadWatchImages, measureSpread } from './watch.js';
import type { Spread, WatchMemory } from './watch-memory.js';

/** Most images that are encoded at once. */
const MOST_TOGETHER = 32;

/** Looks at the target encoder's features of a run's fixed images now and then, and says when they collapse. */
export class CollapseWatch {
  /** The last look of this session. */
  latest: Spread | null = null;

  private constructor(
    private readonly model: Ijepa,
    private readonly images: Float32Array,
    private readonly together: number,
    /** What is remembered from one look to the next; null before the first one. */
    public memory: WatchMemory | null,
  ) {}

  /**
   * Reads the images; in a new run, looks at the features before the first step.
   * @param memory what a checkpoint remembered, or null in a new run
   */
  static async start(
    options: Options,
    model: Ijepa,
    images: ImageCollection,
    target: Parameters,
    memory: WatchMemory | null,
  ): Promise<CollapseWatch> {
    const { pixelLimit } = cropSettings(options);
    const watched = await loadWatchImages(images, options.watchImages, options.imageSize, options.seed, pixelLimit);
    const together = Math.min(MOST_TOGETHER, objectiveOf(options).microBatchSize);
    const watch = new CollapseWatch(model, watched, together, memory);
    if (!memory) await watch.look(target, 0);
    return watch;
  }

  /** Measures the spread after a step; the message is for people, where there is something to say. */
  async look(target: Parameters, step: number): Promise<{ spread: Spread; message?: string }> {
    const spread = await measureSpread(this.model, target, this.images, this.together);
    const { memory, message } = judgeSpread(this.memory, spread, step);
    this.memory = memory;
    this.latest = spread;
    return { spread, ...(message !== undefined && { message }) };
  }
}
