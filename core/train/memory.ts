import { UserError } from '../base/errors.js';
import type { Options } from '../config/schema.js';
import { maskSettings, modelSize } from '../config/settings.js';
import type { Engine, EngineMemory } from '../engine/contract.js';
import { masksOfStep } from '../methods/masks/coverage.js';
import { meanPatches } from '../methods/masks/multiblock.js';
import { countParameters, encoderShapes, predictorShapes } from '../nn/parameters.js';
import type { VitSize } from '../nn/sizes.js';
import { assumedMemory, memoryBudget } from './free-memory.js';
import { usableLanes } from './objective.js';

/** What a training step needs, in bytes. */
export interface StepMemory {
  /** Weights, moments, gradients and their successors, and the copy of a checkpoint that is being written. */
  fixed: number;
  /** Activations of each image that is computed at once. */
  perImage: number;
}

const FLOAT = 4;
const GIB = 2 ** 30;
/** Images over which the largest token counts are taken, each of a step with sizes of its own and cut by no other. */
const SAMPLED_STEPS = 20;

/** What a process takes before it has any tensor, in bytes. */
export const PROGRAM = 260 * 2 ** 20;
/** What a thread takes that computes beside the main one, before it has any tensor, in bytes. */
const LANE = 40 * 2 ** 20;

/**
 * Estimates what a step needs.
 *
 * The factors of stepwise engines were fitted to the measured peak of eleven models from 64 x 6 to 384 x 3 wide and deep,
 * on 32 to 224 pixels; the estimates lie within 10% of the measurements. Planned engines keep, for each token of a block,
 * 13 rows of its width (inputs of two norms and three linear layers, queries, keys and values, the hidden layer before
 * GELU) and the attention weights; every lane beyond the first has weights and gradients of its own.
 * Letters: K and J patches of a context and a target block, N of the image; D and L width and depth of the encoder, E and
 * M of the predictor; h heads; R rows of the predictor an image.
 */
export function estimateStepMemory(options: Options, kind: EngineMemory['kind'], lanes = 1): StepMemory {
  const size = modelSize(options);
  const settings = maskSettings(options);
  const { dim: D, heads: h } = size.encoder;
  const { dim: E, depth: M } = size.predictor;
  const drawn = Array.from({ length: SAMPLED_STEPS }, (_, step) => masksOfStep(settings, 1, options.seed, step + 1));
  const K = Math.max(...drawn.map(({ groups }) => meanPatches(groups, 'context')));
  const J = Math.max(...drawn.map(({ groups }) => meanPatches(groups, 'targets')));
  const N = settings.gridSize ** 2;
  const C = settings.contexts;
  const R = settings.targets * C;
  const encoder = countParameters(encoderShapes(size));
  const trained = encoder + countParameters(predictorShapes(size));
  const saved = 3 * trained + encoder; // the copy that is written while training goes on
  if (kind === 'planned') {
    const perImage =
      C * encoderValues(kind, size.encoder, K) + M * R * (K + J) * (13 * E + h * (K + J)) + N * (14 * D + h * N);
    const beside = (lanes - 1) * (LANE + FLOAT * (2 * trained + encoder)); // weights of both encoders, gradients
    return { fixed: PROGRAM + FLOAT * (5 * trained + encoder + saved) + beside, perImage: FLOAT * perImage };
  }
  const perImage =
    C * encoderValues(kind, size.encoder, K) +
    180 * R * (K + J) * E * M +
    2.3 * h * R * (K + J) ** 2 * M +
    84 * N * D +
    3 * h * N * N; // the target encoder's attention, one block at a time
  return { fixed: FLOAT * (8 * trained + 2 * encoder + saved), perImage: FLOAT * perImage };
}

/** The numbers that the encoder keeps for the gradients of an image of which it sees so many patches. */
export function encoderValues(
  kind: EngineMemory['kind'],
  { dim: D, depth: L, heads: h, mlpRatio }: VitSize,
  patches: number,
): number {
  const wide = mlpRatio / 4;
  return kind === 'planned'
    ? L * patches * (13 * wide * D + h * patches)
    : L * patches * (110 * wide * D + 2.3 * h * patches);
}

/**
 * How many images are computed at once where that is left to the program: the whole batch, or as many as fit into the
 * engine's memory and the user's budget. Where masks are cut in groups, which are computed one by one, that is a group in
 * each lane, or a part of one.
 * @throws UserError if not even one fits
 */
export function chooseMicroBatchSize(options: Options, engine: Engine): number {
  const { name, memory } = engine;
  const lanes = usableLanes(engine, options.regularizer !== 'none');
  const limit = memoryBudget(memory, options.memory);
  const { fixed, perImage } = estimateStepMemory(options, memory.kind, lanes);
  const fitting = Math.floor((limit - fixed) / perImage);
  if (fitting < 1) {
    const gib = (bytes: number) => (bytes / GIB).toFixed(1);
    throw new UserError(
      `a step of this model needs about ${gib(fixed + perImage)} GiB with one image at once; ` +
        `the engine ${name} may use ${gib(limit)}${assumedMemory(memory, options.memory)}`,
      {
        expected: 'a step that fits into memory',
        remedy:
          `use a smaller --arch or --image-size, a larger --patch-size, --memory ${Math.ceil((fixed + perImage) / 2 ** 20)} where ` +
          'there is as much, or --micro-batch-size 1 to try it all the same',
      },
    );
  }
  const { batchSize } = options;
  const group = Math.min(options.maskGroup ?? batchSize, batchSize);
  const together = Math.min(lanes * group, batchSize);
  if (fitting >= together) return together;
  const parts = Math.ceil(group / fitting);
  return Math.ceil(group / parts);
}
