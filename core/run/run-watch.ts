import { z } from 'zod';
import type { Options } from '../config/schema.js';
import { microBatchSizeOf } from '../config/settings.js';
import type { ImageCollection } from '../contract/data-sets.js';
import type { Verdict } from '../contract/monitors.js';
import { cropSettings } from '../data/crop.js';
import type { Backbone } from '../nn/backbone.js';
import type { Parameters } from '../nn/parameters.js';
import type { Extension } from '../plugins/plugin.js';
import { Monitors, type MonitorValues, verdictsSchema } from './monitors.js';
import { loadWatchImages, meanStd, pooledFeatures, rankMe } from './watch.js';

/** How much the representations of different images differ. */
export interface Spread {
  /** Mean over features of the standard deviation over images. */
  std: number;
  /** RankMe: the effective number of directions, from 1 to the number of images. */
  rank: number;
}

const spreadSchema = z.object({ std: z.number(), rank: z.number() });
const memorySchema = z.object({
  /** Before the first step. */
  first: spreadSchema,
  /** What monitors remember, and the last verdicts of those that give some, by their names. */
  monitors: z.record(z.string(), z.unknown()),
  verdicts: verdictsSchema,
});

/** What a run remembers from one observation to the next; checkpoints hold it. */
export type WatchMemory = z.infer<typeof memorySchema>;

/** What a checkpoint holds; null where it is none. */
export function parseWatchMemory(memory: unknown): WatchMemory | null {
  return memorySchema.nullable().catch(null).parse(memory);
}

/** The spread of the features, and the monitors' values. */
export interface Observation {
  spread: Spread;
  monitors: MonitorValues;
}

/** Most images that are encoded at once. */
const MAX_TOGETHER = 32;

/** Observes now and then what an encoder makes of a run's fixed images, and lets monitors observe it. */
export class RunWatch {
  /** The last spread of this session. */
  latest: Spread | null = null;

  private constructor(
    private readonly backbone: Backbone,
    private readonly pixels: Float32Array,
    private readonly together: number,
    private readonly monitors: Monitors,
    private first: Spread | null,
  ) {}

  /**
   * Reads the images; in a new run, observes the features before the first step.
   * @param memory what a checkpoint remembered, or null in a new run
   * @param report takes what monitors have to say
   */
  static async start(
    run: { options: Options; backbone: Backbone; images: ImageCollection; totalSteps: number },
    monitors: readonly Extension<'monitor'>[],
    encoder: Parameters,
    memory: WatchMemory | null,
    report: (message: string) => void,
  ): Promise<RunWatch> {
    const { options, backbone, totalSteps } = run;
    const { seed, imageSize, watchImages } = options;
    const { pixelLimit } = cropSettings(options);
    const { pixels, images } = await loadWatchImages(run.images, watchImages, imageSize, seed, pixelLimit);
    const together = Math.min(MAX_TOGETHER, microBatchSizeOf(options));
    const facts = { seed, totalSteps, images, width: backbone.encoder.dim };
    const asked = new Monitors(monitors, facts, memory ?? { monitors: {}, verdicts: {} }, report);
    const watch = new RunWatch(backbone, pixels, together, asked, memory?.first ?? null);
    if (!memory) await watch.observe(encoder, 0, null);
    return watch;
  }

  /** What is remembered from one observation to the next; null before the first one. */
  get memory(): WatchMemory | null {
    const { memories, verdicts } = this.monitors;
    return this.first && { first: this.first, monitors: memories, verdicts };
  }

  get verdicts(): Readonly<Record<string, Verdict>> {
    return this.monitors.verdicts;
  }

  /** Observes after a step, whose loss was the given one; null before the first step. */
  async observe(encoder: Parameters, step: number, loss: number | null): Promise<Observation> {
    const features = await pooledFeatures(this.backbone, encoder, this.pixels, this.together);
    const rows = features.length / this.backbone.encoder.dim;
    const spread = { std: meanStd(features, rows), rank: rankMe(features, rows) };
    this.first ??= spread;
    this.latest = spread;
    return { spread, monitors: await this.monitors.observe({ step, loss, features, ...spread }) };
  }
}
