import { AUTO } from '../../config/option.js';
import { type ResolvedOptions, resolveOptions } from '../../config/resolve.js';
import type { Options } from '../../config/schema.js';
import type { MethodDefinition } from '../../methods/method.js';
import type { Plugin } from '../../plugins/plugin.js';
import type { Asked } from './plan.js';

/** What runs are made of beside what is compared. */
export interface Surroundings {
  methods: readonly MethodDefinition[];
  plugins: readonly Plugin[];
  /** The word by which training images are opened, without those for testing. */
  trainingData: string;
  /** Further options of all runs. */
  running: Pick<Options, (typeof RUNNING)[number]>;
}

/** Options of runs that a comparison takes as they are. */
export const RUNNING = [
  ...(['engine', 'device', 'precision', 'threads', 'memory', 'decodeThreads'] as const),
  ...(['maxUnreadable', 'maxMegapixels', 'plugins'] as const),
];

/** A method's presets for small models are called by this name, or begin with it. */
const SMALL_PRESET = 'cpu-small';
/** A method's own warm-up may take this part of a run; where it would take more, it is a tenth, as is usual. */
const LONGEST_WARMUP = 0.2;

/** The name of a method's own preset for small models; null where it has none. */
export function smallPreset({ presets }: MethodDefinition): string | null {
  return Object.keys(presets).find((name) => name.startsWith(SMALL_PRESET)) ?? null;
}

/**
 * The options of a run: data, backbone and batch are the same for all methods, and all start from random weights; crops, augmentations, optimiser and rates are
 * those of the method's own preset for small models, or its defaults.
 */
export function runOptions(
  { imageSize, patchSize, dim, depth, heads, batchSize }: Asked,
  { methods, trainingData, running }: Surroundings,
  { method, ...run }: { method: MethodDefinition; seed: number; epochs: number; out: string },
): ResolvedOptions<MethodDefinition> {
  const common = { data: [trainingData], initFrom: null, imageSize, patchSize, dim, depth, heads, batchSize };
  const sources = { methods, preset: smallPreset(method) ?? undefined };
  const flags = { ...common, ...running, ...run, method: method.name };
  const resolved = resolveOptions({ ...sources, flags });
  const { warmupEpochs } = resolved.options;
  if (warmupEpochs === null || warmupEpochs <= LONGEST_WARMUP * run.epochs) return resolved;
  return resolveOptions({ ...sources, flags: { ...flags, warmupEpochs: AUTO } });
}
