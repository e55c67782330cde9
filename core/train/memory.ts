import { UserError } from '../base/errors.js';
import type { Options } from '../config/schema.js';
import type { Engine, EngineMemory } from '../engine/contract.js';
import { freeMemory } from '../engine/machine.js';
import { drawBatch, meanPatches } from '../methods/batch.js';
import type { Method, MethodDefinition } from '../methods/method.js';
import { isOfResNet, type Pass, type ResNetPass } from '../nn/cost.js';
import { countParameters } from '../nn/parameters.js';
import { resNetConvolutions } from '../nn/resnet.js';
import { usableConcurrency } from './gradients.js';

/** What a training step needs, in bytes. */
export interface StepMemory {
  /** Weights, moments, gradients and their successors, and the copy of a checkpoint that is being written. */
  fixed: number;
  /** Activations of each image that is computed at once. */
  perImage: number;
}

const FLOAT = 4;
const GIB = 2 ** 30;
/** Images over which the largest token counts are taken, each of a step with draws of its own and cut by no other. */
const SAMPLED_STEPS = 20;

/** What a process takes before it has any tensor, in bytes. */
const PROGRAM_BYTES = 260 * 2 ** 20;
/** What a thread takes that computes beside the main one, before it has any tensor, in bytes. */
const WORKER_BYTES = 40 * 2 ** 20;

/** The most patches that each mask keeps of one image, over some steps, and whether they are as many in all of them. */
export function largestMasks({ draw }: Pick<Method, 'draw'>, seed: number) {
  const largest: Record<string, number> = {};
  let vary = false;
  for (let step = 1; draw && step <= SAMPLED_STEPS; step++) {
    const patches = meanPatches(drawBatch({ draw }, seed, step, 1).groups);
    for (const [name, count] of Object.entries(patches)) {
      vary ||= count !== (largest[name] ?? count);
      largest[name] = Math.max(count, largest[name] ?? 0);
    }
  }
  return { largest, vary };
}

/** How a step is computed, as far as memory goes. */
interface StepConditions extends Pick<EngineMemory, 'kind'> {
  /** Where numbers of tokens vary from step to step, what that takes. */
  varying?: EngineMemory['varying'] | undefined;
  /** Parts of a batch that are computed at the same time; default 1. */
  concurrency?: number;
  /** Whether blocks are computed once more for their gradients. */
  recompute?: boolean;
  /** Whether checkpoints are written while training goes on, the default. */
  isSaved?: boolean;
  /** Processes that take the step together, and whether they share what the optimiser keeps. */
  ranks?: number;
  isSharded?: boolean;
}

/**
 * Estimates what a step needs.
 *
 * The factors of stepwise engines were fitted to the measured peak of eleven models from 64 x 6 to 384 x 3 wide and deep,
 * on 32 to 224 pixels; the estimates lie within 10% of the measurements. Planned engines have the weights of all networks,
 * and gradients, once more for each part of a batch that is computed beside the first. Where blocks are recomputed, the
 * measured peaks were 0.93 to 1.23 of the estimates, of four models up to 384 wide on ONNX Runtime; 1.36 of a ViT-B, whose
 * first update takes more than is counted here.
 */
export function estimateStepMemory(
  networks: Method['networks'],
  passes: readonly Pass[],
  { kind, varying, concurrency = 1, recompute = false, isSaved = true, ranks = 1, isSharded = false }: StepConditions,
): StepMemory {
  const count = (ofTrained: boolean) =>
    Object.values(networks)
      .filter(({ role }) => (role.by === 'gradient') === ofTrained)
      .reduce((sum, { shapes }) => sum + countParameters(shapes), 0);
  const [trained, others] = [count(true), count(false)];
  const saved = isSaved ? 3 * trained + others : 0; // the copy that is written while training goes on
  const perImage = FLOAT * passes.reduce((sum, pass) => sum + passValues(kind, pass, recompute), 0);
  const moments = isSharded ? 2 * trained * (1 - 1 / ranks) : 0; // those that other ranks keep
  const exchanged = (ranks > 1 ? trained : 0) - moments; // sums of gradients
  if (kind === 'stepwise') return { fixed: FLOAT * (8 * trained + 2 * others + saved + exchanged), perImage };
  const beside = (concurrency - 1) * (WORKER_BYTES + FLOAT * (2 * trained + others));
  const { bytes, factor } = varying ?? { bytes: 0, factor: 1 };
  const fixed = PROGRAM_BYTES + FLOAT * (5 * trained + others + saved + exchanged) + beside + bytes;
  return { fixed, perImage: factor * perImage };
}

/**
 * The numbers that a pass of a residual network keeps for gradients, of one image: of every convolution what it gives, what is
 * normalised of that, and what is above 0. The factors were fitted to the measured peaks of one model (RN14, 64 pixels):
 * estimates lie within 6% of ONNX Runtime's with 8 and 32 images; stepwise engines hold what kernels see as well, and gaps.
 */
function resNetValues(kind: EngineMemory['kind'], { size, imageSize, rows, trained }: ResNetPass): number {
  const maps = resNetConvolutions(size, imageSize).map(({ shape, side }) => (shape[0] as number) * side ** 2);
  if (!trained) return rows * 6 * Math.max(...maps);
  return rows * (kind === 'planned' ? 4 : 52) * maps.reduce((sum, map) => sum + map, 0);
}

/**
 * The numbers that a pass keeps for gradients, of one image.
 *
 * Planned engines keep, for each token of a block, 13 rows of its width (inputs of two norms and three linear layers,
 * queries, keys and values, the hidden layer before GELU) and the attention weights. Without gradients, one block at a
 * time is kept; where blocks are recomputed, one block and the inputs of all, on stepwise engines with their gradients.
 * What heads of many outputs hold is added.
 * Letters: R sequences of N tokens, D and L width and depth, h heads.
 */
function passValues(kind: EngineMemory['kind'], pass: Pass, recompute: boolean) {
  if (isOfResNet(pass)) return resNetValues(kind, pass);
  const { size, rows: R, tokens: N, trained, queryOffset, projections } = pass;
  const held = projections.reduce((sum, { tokens, outputs, held = 0 }) => sum + held * tokens * outputs, 0);
  const { dim: D, depth: L, heads: h, mlpRatio } = size;
  const wide = mlpRatio / 4;
  const isPlanned = kind === 'planned';
  if (!trained) return held + R * N * (isPlanned ? 14 * D + h * N : 84 * D + 3 * h * N);
  // Of predictors, whose rows are copied for each target, stepwise engines hold more.
  const perToken = queryOffset === undefined ? 110 : 180;
  const block = isPlanned ? 13 * wide * D + h * N : perToken * wide * D + 2.3 * h * N;
  return held + R * N * (recompute ? block + L * (isPlanned ? 1 : 2) * D : L * block);
}

/**
 * How many images are computed at once where that is left to the program: the whole batch, or as many as fit into the
 * engine's memory and the user's budget. Where masks are cut in groups, which are computed one by one, that is a group in
 * each part that is computed at the same time, or a fraction of one.
 * @param ranks that take the step together, and how many of them run on this machine
 * @throws UserError if not even one fits
 */
export function chooseMicroBatchSize(
  definition: Pick<MethodDefinition, 'passes'>,
  method: Method,
  options: Options,
  engine: Engine,
  { size, onHost }: { size: number; onHost: number } = { size: 1, onHost: 1 },
): number {
  const { memory } = engine;
  const concurrency = usableConcurrency(engine, method);
  const limit = memoryBudget(memory, options.memory, freeMemory() / onHost);
  const { largest, vary } = largestMasks(method, options.seed);
  const passes = definition.passes(options, largest);
  const varying = vary ? memory.varying : undefined;
  const { recompute, shardOptimiser: isSharded } = options;
  const conditions = { kind: memory.kind, varying, concurrency, recompute, isSharded, ranks: size };
  const needed = estimateStepMemory(method.networks, passes, conditions);
  const remedy = (bytes: number) =>
    `use ${smallerSteps(options)}, --memory ${Math.ceil(bytes / 2 ** 20)} where ` +
    'there is as much, or --micro-batch-size 1 to try it all the same';
  const fitting = fittingImages(engine, needed, limit, remedy, assumedMemory(memory, options.memory));
  const { batchSize } = options;
  const group = groupSize(method, batchSize);
  const together = Math.min(concurrency * group, batchSize);
  if (fitting >= together) return together;
  const parts = Math.ceil(group / fitting);
  return Math.ceil(group / parts);
}

/** What makes a step of as many images need less memory, for people. */
export function smallerSteps({ recompute }: Pick<Options, 'recompute'>): string {
  const model = 'a smaller --arch or --width, a smaller --image-size or a larger --patch-size';
  return recompute ? model : `--recompute, which gives the same result in more time, or ${model}`;
}

/**
 * How many images can be computed at once.
 * @param limit bytes that the engine may use
 * @param remedy what to do where one image needs so many bytes and they are not there
 * @throws UserError if not even one fits
 */
export function fittingImages(
  { name }: Pick<Engine, 'name'>,
  { fixed, perImage }: StepMemory,
  limit: number,
  remedy: (bytes: number) => string,
  assumed = '',
): number {
  const fitting = Math.floor((limit - fixed) / perImage);
  if (fitting >= 1) return fitting;
  const gib = (bytes: number) => (bytes / GIB).toFixed(1);
  throw new UserError(
    `a step of this model needs about ${gib(fixed + perImage)} GiB with one image at once; ` +
      `the engine ${name} may use ${gib(limit)}${assumed}`,
    { expected: 'a step that fits into memory', remedy: remedy(fixed + perImage) },
  );
}

/** Images of a batch that a method draws masks for together. */
export function groupSize(method: Pick<Method, 'draw'>, batchSize: number): number {
  return Math.max(...drawBatch(method, 0, 1, batchSize).groups.map(({ imageCount }) => imageCount));
}

/** Fraction of the free memory that is used where the user names no budget. */
const FRACTION_OF_FREE = 0.6;
/** What is assumed of a graphics card, which does not tell: 8 GiB, in bytes. */
const ASSUMED_CARD = 8 * 2 ** 30;

/**
 * Bytes that computing may take: what the user names, or a part of what is free; of a card, which does not tell, what most
 * have.
 * @param megabytes what the user names, in MiB; null for nothing
 * @param free bytes of the machine's memory that the process may still take
 */
export function memoryBudget({ limit, of }: EngineMemory, megabytes: number | null, free = freeMemory()): number {
  const unnamed = of === 'card' ? ASSUMED_CARD : FRACTION_OF_FREE * free;
  return Math.min(limit ?? Number.POSITIVE_INFINITY, megabytes === null ? unnamed : megabytes * 2 ** 20);
}

/** What was assumed of a card's memory, for people; empty where nothing was. */
export function assumedMemory({ of }: EngineMemory, megabytes: number | null): string {
  if (of !== 'card' || megabytes !== null) return '';
  return `, ${ASSUMED_CARD / 2 ** 30} GiB of its memory assumed (--memory names another)`;
}
