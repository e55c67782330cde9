import { mapValues } from '../base/map-values.js';
import { RandomStream } from '../base/random.js';
import { round } from '../base/rounding.js';
import type { Options } from '../config/schema.js';
import { microBatchSizeOf } from '../config/settings.js';
import type { Engine } from '../engine/contract.js';
import { tf } from '../engine/tf.js';
import { drawBatch, meanPatches, noiseViews, viewSides } from '../methods/batch.js';
import type { BenchmarkMasks, Method, MethodDefinition } from '../methods/method.js';
import { stepOperations } from '../nn/cost.js';
import { countParameters } from '../nn/parameters.js';
import { tokenIndices } from '../nn/tokens.js';
import { createOptimiser } from '../optim/create.js';
import type { Optimiser } from '../optim/optimiser.js';
import { ALONE, type Ranks } from './communicator/ranks.js';
import { groupsOfImages, shareOf } from './parts.js';
import { askedShards } from './shards.js';
import { initialState, trainedOf } from './state.js';
import { prepareStep } from './step.js';

/** Options of steps that are timed: a ViT-S/16 at 224 pixels, a ViT-Ti/8 at 96, and one that a laptop trains in minutes. */
export const BENCHMARKS = {
  a: { arch: 'vit-small', imageSize: 224, patchSize: 16, batchSize: 16 },
  b: { arch: 'vit-tiny', imageSize: 96, patchSize: 8, batchSize: 32 },
  tiny: { arch: 'vit-tiny', imageSize: 64, patchSize: 8, dim: 96, depth: 4, heads: 3, batchSize: 16 },
} as const;
export type BenchmarkName = keyof typeof BENCHMARKS;

const LENGTH = { stepsPerEpoch: 100, epochs: 1, scheduleStretch: 1 };
/** Steps before the clock is started; the first one is timed by itself. */
const WARM_UP = 2;

interface BenchmarkSettings {
  /** Whether each step draws masks of its own, as in a run, instead of those that the benchmark fixes. */
  drawnMasks?: boolean;
  /** Called after every step. */
  afterStep?: () => void;
  /** The processes that take the steps together, each its part of the batch. */
  ranks?: Ranks;
}

/** What a benchmark measured on one engine. */
export type BenchmarkResult = Awaited<ReturnType<typeof runBenchmark>>;

/**
 * Times the whole training step of a method on random data.
 * @param options of the method, with the sizes of the benchmark
 */
export async function runBenchmark(
  engine: Engine,
  config: BenchmarkName,
  definition: MethodDefinition,
  method: Method,
  options: Options,
  steps: number,
  { drawnMasks = false, afterStep = () => {}, ranks = ALONE }: BenchmarkSettings = {},
) {
  await method.check?.();
  const { batchSize, imageSize } = options;
  const optimiser = timedOptimiser(createOptimiser(engine, options));
  const sides = viewSides(method, imageSize);
  const { recompute, wire } = options;
  const shards = askedShards(options, method, ranks);
  const settings = { sides, microBatchSize: microBatchSizeOf(options), recompute, wire, shards, seed: 0 };
  const takeStep = prepareStep(engine, method, optimiser, settings, ranks);
  const stream = new RandomStream(0, 'benchmark');
  const [from, to] = shareOf(batchSize, ranks);
  const views = noiseViews(method, sides, to - from, stream);
  const known = definition.benchmarks?.[config];
  const fixed = known ? [benchmarkGroup(known, options, stream)] : drawBatch(method, 0, 1, batchSize).groups;
  const rates = { learningRate: 1e-3, weightDecay: 0.04, ...mapValues(method.rates, (rate) => rate(1, LENGTH)) };
  let state = initialState(method, optimiser.slotNames, 0);
  if (shards) state = shards.keepOwn(state);
  const seconds: number[] = [];
  const updateSeconds: number[] = [];
  const exchange: { seconds: number; bytes: number }[] = [];
  const operations: number[] = [];
  for (let step = 0; step < steps + WARM_UP; step++) {
    const groups = drawnMasks ? drawBatch(method, 0, step + 1, batchSize).groups : fixed;
    operations.push(stepOperations(definition.passes(options, meanPatches(groups))));
    const before = { ...ranks.traffic };
    const started = performance.now();
    const own = groupsOfImages(groups, from, to);
    ({ state } = await takeStep(state, { views, groups: own, total: batchSize }, rates));
    seconds.push((performance.now() - started) / 1000);
    const { seconds: exchanged, bytes } = ranks.traffic;
    exchange.push({ seconds: exchanged - before.seconds, bytes: bytes - before.bytes });
    updateSeconds.push(optimiser.takeSeconds());
    afterStep();
  }
  tf.dispose(state);
  const sorted = (numbers: readonly number[]) => numbers.slice(WARM_UP).sort((x, y) => x - y);
  const timed = sorted(seconds);
  const middle = Math.floor(timed.length / 2);
  const median = timed[middle];
  const shapes = trainedOf(
    method,
    mapValues(method.networks, (network) => network.shapes),
  );
  const total = (numbers: readonly number[]) => numbers.reduce((sum, number) => sum + number, 0);
  return {
    engine: engine.name,
    version: engine.version,
    device: engine.device,
    method: definition.name,
    config,
    threads: engine.threads,
    ranks: ranks.size,
    /** Of a step, medians: what this rank sent, and how long it exchanged and waited for slower ranks. */
    exchangedBytes: sorted(exchange.map(({ bytes }) => bytes))[middle],
    exchangeSeconds: round(sorted(exchange.map(({ seconds }) => seconds))[middle], 4),
    /** Median. */
    secondsPerStep: round(median, 4),
    minSeconds: round(timed[0], 4),
    /** Mean: masks that are drawn make some steps longer than others. */
    meanSeconds: round(total(timed) / steps, 4),
    imagesPerSecond: round(batchSize / median, 2),
    /** Of a step, updates of the weights and moving averages; median. */
    updateSeconds: round(sorted(updateSeconds)[middle], 5),
    /** Number of values that are trained. */
    parameters: total(Object.values(shapes).map(countParameters)),
    /** With everything that is compiled once. */
    firstStepSeconds: round(seconds[0], 2),
    /** Most memory that the process ever held. */
    peakMemoryMiB: Math.round(process.resourceUsage().maxRSS / 1024),
    /** 10⁹ floating-point operations of matrix products a second. */
    gflops: round((batchSize * total(operations.slice(WARM_UP))) / total(timed) / 1e9, 1),
  };
}

/** An optimiser that tells how long its updates took since it last told. */
function timedOptimiser(optimiser: Optimiser): Optimiser & { takeSeconds(): number } {
  let seconds = 0;
  return {
    ...optimiser,
    async update(group) {
      const started = performance.now();
      const updated = await optimiser.update(group);
      seconds += (performance.now() - started) / 1000;
      return updated;
    },
    takeSeconds() {
      const taken = seconds;
      seconds = 0;
      return taken;
    },
  };
}

/** The masks of a benchmark, at random places. */
function benchmarkGroup({ masks }: BenchmarkMasks, { batchSize, imageSize, patchSize }: Options, stream: RandomStream) {
  const patchCount = (imageSize / patchSize) ** 2;
  const drawn = mapValues(masks, ([maskCount, tokenCount]) => {
    const patches = () => stream.permutation(patchCount).subarray(0, tokenCount).sort();
    const rows = Array.from({ length: maskCount }, () => Array.from({ length: batchSize }, patches));
    return tokenIndices(rows, patchCount);
  });
  return { imageCount: batchSize, masks: drawn };
}
