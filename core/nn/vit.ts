import { attention, type LinearParameters, layerNorm, linear, mlp } from '../engine/functions.js';
import { recomputable } from '../engine/recompute.js';
import { type Tensor, tf } from '../engine/tf.js';
import { type Parameters, parameter } from './parameters.js';
import type { VitSize } from './sizes.js';

/** Added to variances where a network does not say otherwise (the reference's LayerNorm). */
export const EPSILON = 1e-6;

/**
 * Cuts images into patches, row by row over the grid.
 *
 * Letters: B images, S side of an image, p side of a patch, N = (S/p)² patches.
 * @param images [B, S, S, 3]
 * @returns [B, N, p p 3]: within a patch pixel rows, then pixels, then colours
 */
export function patchify(images: Tensor, patchSize: number): Tensor {
  const [count, side, width, colours] = images.shape as [number, number, number, number];
  if (side !== width || side % patchSize !== 0 || colours !== 3) {
    throw new Error(`patchify expected square RGB images of a multiple of ${patchSize}, received [${images.shape}]`);
  }
  const grid = side / patchSize;
  return images
    .reshape([count * grid, patchSize, grid, patchSize * 3])
    .transpose([0, 2, 1, 3]) // [B grid, grid, p, p 3]
    .reshape([count, grid * grid, patchSize * patchSize * 3]);
}

/** The reference's strided convolution as a product: patches [B, N, p p 3] -> [B, N, D]. */
export function embedPatches(parameters: Parameters, patches: Tensor): Tensor {
  const kernel = parameter(parameters, 'patch_embed.proj.weight'); // [D, 3, p, p]
  const weight = tf.transpose(kernel, [0, 2, 3, 1]).reshape([kernel.shape[0], -1]); // [D, p p 3]
  return linear(patches, weight, parameter(parameters, 'patch_embed.proj.bias'));
}

/** How the blocks of a transformer are to be applied. */
export interface BlockOptions {
  /** How many of the first tokens, S, are not needed in the end: the last block computes the others only. Default: 0. */
  queryOffset?: number;
  /** Added to the attention scores of every block, [h, N, N]; not together with `queryOffset`. */
  bias?: Tensor | undefined;
  /** By what the two branches of every block are multiplied, for each image, [B, 2 depth]: 0 where one is dropped. */
  branches?: Tensor | undefined;
  /** How many of the last blocks' outputs are wanted. Default: 1. */
  taps?: number;
}

/**
 * x + attention(norm(x)), then x + mlp(norm(x)), `size.depth` times (paper, appendix A.1). What a gradient does not need
 * is freed at once.
 * @param blocks name of the list of blocks in `parameters`
 * @param tokens [B, N, D]
 * @returns outputs of the last blocks, in their order: [B, N, D] each, [B, N - S, D] of the last one
 */
export function transformerBlocks(
  parameters: Parameters,
  blocks: string,
  size: VitSize,
  tokens: Tensor,
  { queryOffset = 0, bias, branches, taps = 1 }: BlockOptions = {},
): Tensor[] {
  const { depth } = size;
  const outputs: Tensor[] = [];
  let x = tokens;
  for (let index = 0; index < depth; index++) {
    const isLast = index === depth - 1;
    const own = branches && tf.slice(branches, [0, 2 * index], [-1, 2]); // [B, 2]
    const y = recomputableBlock(parameters, `${blocks}.${index}`, size, x, isLast ? queryOffset : 0, {
      bias,
      branches: own,
    });
    if (x !== tokens) x.dispose();
    x = y;
    if (index < depth - taps) continue;
    outputs.push(y);
    // The gradients of what follows are added up by themselves, in the same order whether blocks are recomputed or not.
    if (!isLast) x = y.clone();
  }
  return outputs;
}

/** What a block has beside its tokens and its parameters. */
type BlockInputs = Pick<BlockOptions, 'bias' | 'branches'>;

/** One block as a function of its input, the parameters of its own and what it has beside them. */
function recomputableBlock(
  parameters: Parameters,
  block: string,
  size: VitSize,
  tokens: Tensor,
  queryOffset: number,
  { bias, branches }: BlockInputs,
): Tensor {
  const names = Object.keys(parameters).filter((name) => name.startsWith(`${block}.`));
  const own = names.map((name) => parameter(parameters, name));
  const beside = [bias, branches].filter((tensor) => tensor !== undefined);
  return recomputable([tokens, ...own, ...beside], (x, ...others) => {
    const named = Object.fromEntries(names.map((name, at) => [name, others[at]]));
    const given = others.slice(names.length);
    const inputs = { bias: bias && given[0], branches: branches && given.at(-1) };
    return transformerBlock(named, block, size, x, queryOffset, inputs);
  });
}

/** One block; see `transformerBlocks`. Only the tokens after the first ones are computed. */
function transformerBlock(
  parameters: Parameters,
  block: string,
  { heads, normEpsilon }: VitSize,
  x: Tensor,
  queryOffset: number,
  { bias, branches }: BlockInputs,
): Tensor {
  return tf.tidy(() => {
    const [ofAttention, ofMlp] = branches ? tf.split(branches.expandDims(2), 2, 1) : []; // [B, 1, 1]
    const attended = tf.tidy(() => {
      const qkv = project(parameters, `${block}.attn.qkv`, norm(parameters, `${block}.norm1`, x, normEpsilon)); // [B, N, 3D]
      const mixed = attention(qkv, heads, queryOffset, bias);
      const branch = project(parameters, `${block}.attn.proj`, mixed);
      return tokensFrom(x, queryOffset).add(scaled(parameters, `${block}.gamma_1`, branch, ofAttention));
    });
    const hidden = norm(parameters, `${block}.norm2`, attended, normEpsilon);
    const layer = (name: string) => linearParameters(parameters, `${block}.mlp.${name}`);
    const branch = mlp(hidden, layer('fc1'), layer('fc2'));
    return attended.add(scaled(parameters, `${block}.gamma_2`, branch, ofMlp));
  });
}

/** A branch by its layer scale, where the network has one, and by what it is multiplied with for each image. */
export function scaled(parameters: Parameters, name: string, branch: Tensor, ofImages?: Tensor): Tensor {
  const scale = parameters[name];
  const own = scale ? branch.mul(scale) : branch;
  return ofImages ? own.mul(ofImages) : own;
}

/** All tokens but the first ones: [B, N, D] -> [B, N - first, D]. */
export function tokensFrom(x: Tensor, first: number): Tensor {
  return first === 0 ? x : tf.slice(x, [0, first, 0], [-1, -1, -1]);
}

/** The first token: [B, 1 + N, D] -> [B, D]. */
export function classTokens(x: Tensor): Tensor {
  return tf.slice(x, [0, 0, 0], [-1, 1, -1]).squeeze([1]);
}

/** LayerNorm by the name of its scale and bias. */
export function norm(parameters: Parameters, name: string, x: Tensor, epsilon = EPSILON): Tensor {
  return layerNorm(x, parameter(parameters, `${name}.weight`), parameter(parameters, `${name}.bias`), epsilon);
}

/** A linear layer by the name of its weight and bias. */
export function project(parameters: Parameters, name: string, x: Tensor): Tensor {
  const { weight, bias } = linearParameters(parameters, name);
  return linear(x, weight, bias);
}

/** Weight and bias of a linear layer by its name. */
export function linearParameters(parameters: Parameters, name: string): LinearParameters {
  return { weight: parameter(parameters, `${name}.weight`), bias: parameter(parameters, `${name}.bias`) };
}
