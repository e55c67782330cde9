import { RandomStream } from '../base/random.js';
import type { Engine } from '../engine/contract.js';
import { tf } from '../engine/tf.js';
import { createIjepa, initialWeights } from '../methods/ijepa/model.js';
import { stepOperations } from '../nn/operations.js';
import type { ModelSize } from '../nn/sizes.js';
import type { MaskIndices } from '../nn/tokens.js';
import { tryTerms } from './check-losses.js';
import type { TrainBatch } from './micro-batch.js';
import type { Objective } from './objective.js';
import { initialTrainState, prepareTrainStep } from './step.js';
import type { Terms } from './terms.js';

/** Sizes of a training step that is timed. */
interface BenchmarkSize {
  imageSize: number;
  patchSize: number;
  dim: number;
  depth: number;
  heads: number;
  predictorDim: number;
  predictorDepth: number;
  batchSize: number;
  /** Patches of the context, and of each of the four targets. */
  context: number;
  target: number;
}

/** A ViT-S/16 at 224 pixels, a ViT-Ti/8 at 96, and one that a laptop trains in minutes. */
export const BENCHMARKS = {
  a: {
    imageSize: 224,
    patchSize: 16,
    dim: 384,
    depth: 12,
    heads: 6,
    predictorDim: 192,
    predictorDepth: 6,
    batchSize: 16,
    context: 80,
    target: 36,
  },
  b: {
    imageSize: 96,
    patchSize: 8,
    dim: 192,
    depth: 12,
    heads: 3,
    predictorDim: 96,
    predictorDepth: 4,
    batchSize: 32,
    context: 60,
    target: 25,
  },
  tiny: {
    imageSize: 64,
    patchSize: 8,
    dim: 96,
    depth: 4,
    heads: 3,
    predictorDim: 48,
    predictorDepth: 2,
    batchSize: 16,
    context: 30,
    target: 10,
  },
} as const satisfies Record<string, BenchmarkSize>;
export type BenchmarkName = keyof typeof BENCHMARKS;

const TARGETS = 4;
const RATES = { learningRate: 1e-3, weightDecay: 0.04, momentum: 0.996 };
const ADAM = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };
/** Steps before the clock is started; the first one is timed by itself. */
const WARM_UP = 2;

/** What a benchmark measured on one engine. */
export interface BenchmarkResult {
  engine: string;
  version: string;
  device: string;
  config: BenchmarkName;
  threads: number;
  /** Median. */
  secondsPerStep: number;
  minSeconds: number;
  imagesPerSecond: number;
  /** With everything that is compiled once. */
  firstStepSeconds: number;
  /** Most memory that the process ever held. */
  peakMemoryMiB: number;
  /** 10⁹ floating-point operations of matrix products a second. */
  gflops: number;
}

/**
 * Times the whole training step on random data: both encoders, predictor, objective, gradients, AdamW, moving average.
 * @param afterStep is called after every step
 */
export async function runBenchmark(
  engine: Engine,
  config: BenchmarkName,
  terms: Terms,
  steps: number,
  microBatchSize: number | null = null,
  afterStep: () => void = () => {},
): Promise<BenchmarkResult> {
  const sizes: BenchmarkSize = BENCHMARKS[config];
  const size = modelSizeOf(sizes);
  const model = createIjepa(size);
  const objective: Objective = {
    ...terms,
    regularizerWeight: 1,
    seed: 0,
    microBatchSize: microBatchSize ?? sizes.batchSize,
  };
  await tryTerms(terms, sizes.dim);
  const takeStep = prepareTrainStep(engine, model, objective, ADAM);
  const batch = randomBatch(sizes);
  let state = initialTrainState(initialWeights(size, 0, 'scaled'));
  const seconds: number[] = [];
  for (let step = 0; step < steps + WARM_UP; step++) {
    const started = performance.now();
    ({ state } = await takeStep(state, batch, RATES));
    seconds.push((performance.now() - started) / 1000);
    afterStep();
  }
  tf.dispose(state);
  model.dispose();
  const timed = seconds.slice(WARM_UP).sort((x, y) => x - y);
  const median = timed[Math.floor(timed.length / 2)] as number;
  return {
    engine: engine.name,
    version: engine.version,
    device: engine.device,
    config,
    threads: engine.threads,
    secondsPerStep: round(median, 4),
    minSeconds: round(timed[0] as number, 4),
    imagesPerSecond: round(sizes.batchSize / median, 2),
    firstStepSeconds: round(seconds[0] as number, 2),
    peakMemoryMiB: Math.round(process.resourceUsage().maxRSS / 1024),
    gflops: round(countOperations(sizes) / median / 1e9, 1),
  };
}

function modelSizeOf(sizes: BenchmarkSize): ModelSize {
  const { imageSize, patchSize, dim, depth, heads, predictorDim, predictorDepth } = sizes;
  return {
    imageSize,
    patchSize,
    encoder: { dim, depth, heads, mlpRatio: 4 },
    predictor: { dim: predictorDim, depth: predictorDepth, heads, mlpRatio: 4 },
  };
}

function randomBatch({ imageSize, patchSize, batchSize, context, target }: BenchmarkSize): TrainBatch {
  const stream = new RandomStream(0, 'benchmark');
  const patches = (imageSize / patchSize) ** 2;
  const draw = (masks: number, tokens: number): MaskIndices => ({
    masks,
    images: batchSize,
    tokens,
    indices: Int32Array.from(
      Array.from({ length: masks * batchSize }, () => [
        ...stream.permutation(patches).subarray(0, tokens).sort(),
      ]).flat(),
    ),
  });
  return {
    images: Float32Array.from({ length: batchSize * imageSize ** 2 * 3 }, () => stream.normal()),
    masks: [{ context: draw(1, context), targets: draw(TARGETS, target) }],
  };
}

/** Operations of the matrix products of a step. */
function countOperations(sizes: BenchmarkSize): number {
  const tokens = { contexts: 1, contextPatches: sizes.context, targets: TARGETS, targetPatches: sizes.target };
  return sizes.batchSize * stepOperations(modelSizeOf(sizes), tokens);
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
