import type { Options } from '../config/schema.js';
import { maskSettings, modelSize } from '../config/settings.js';
import type { Engine } from '../engine/contract.js';
import { UserError } from '../errors.js';
import { masksOfStep } from '../masking/coverage.js';
import { countParameters, encoderShapes, predictorShapes } from '../model/parameters.js';

/** What a training step needs, in bytes. */
export interface StepMemory {
  /** Weights, moments, gradients and their successors. */
  fixed: number;
  /** Activations of each image that is computed at once. */
  perImage: number;
}

const FLOAT = 4;
const GIB = 2 ** 30;
/** Batches over which the largest token counts are taken. */
const SAMPLED_STEPS = 20;

/**
 * Estimates what a step needs on an engine that keeps every intermediate result until its gradient is taken.
 *
 * The factors were fitted to the measured peak of eleven models from 64 x 6 to 384 x 3 wide and deep, on 32 to 224
 * pixels; the estimates lie within 10% of the measurements.
 * Letters: K and J patches of a context and a target block, N of the image; D and L width and depth of the encoder, E and
 * M of the predictor; h heads.
 */
export function estimateStepMemory(options: Options): StepMemory {
  const size = modelSize(options);
  const settings = maskSettings(options);
  const { encoder, predictor } = size;
  const drawn = Array.from({ length: SAMPLED_STEPS }, (_, step) => masksOfStep(settings, 1, options.seed, step + 1));
  const K = settings.contexts * Math.max(...drawn.map(({ context }) => context.tokens));
  const J = Math.max(...drawn.map(({ targets }) => targets.tokens));
  const N = settings.gridSize ** 2;
  const rows = settings.targets * settings.contexts;
  const perImage =
    110 * (encoder.mlpRatio / 4) * K * encoder.dim * encoder.depth +
    180 * rows * (K / settings.contexts + J) * predictor.dim * predictor.depth +
    2.3 * encoder.heads * ((K * K) / settings.contexts) * encoder.depth +
    2.3 * encoder.heads * rows * (K / settings.contexts + J) ** 2 * predictor.depth +
    84 * N * encoder.dim +
    3 * encoder.heads * N * N; // the target encoder's attention, one block at a time
  const trained = countParameters(encoderShapes(size)) + countParameters(predictorShapes(size));
  return { fixed: FLOAT * (8 * trained + 2 * countParameters(encoderShapes(size))), perImage: FLOAT * perImage };
}

/**
 * How many images are computed at once where that is left to the program: the whole batch, or as many as fit into the
 * engine's memory.
 * @throws UserError if not even one fits
 */
export function chooseMicroBatchSize(options: Options, engine: Engine): number {
  if (engine.memoryBytes === null) return options.batchSize;
  const { fixed, perImage } = estimateStepMemory(options);
  const fitting = Math.floor((engine.memoryBytes - fixed) / perImage);
  if (fitting < 1) {
    const gib = (bytes: number) => (bytes / GIB).toFixed(1);
    throw new UserError(
      `a step of this model needs about ${gib(fixed + perImage)} GiB with one image at once; ` +
        `the engine ${engine.name} has ${gib(engine.memoryBytes)}`,
      {
        expected: 'a step that fits into memory',
        remedy: 'use a smaller --arch or --image-size, a larger --patch-size, or an engine with more memory',
      },
    );
  }
  const parts = Math.ceil(options.batchSize / fitting);
  return Math.ceil(options.batchSize / parts);
}
