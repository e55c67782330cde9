import { attention, type LinearParameters, layerNorm, linear, mlp } from '../engine/functions.js';
import { type Tensor, tf } from '../engine/tf.js';
import { blockParameters, type Parameters, parameter } from './parameters.js';
import type { VitSize } from './sizes.js';

/** Added to variances inside the networks (the reference's LayerNorm). */
const EPSILON = 1e-6;

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

/**
 * The vision transformer without class token (Dosovitskiy et al. 2021): patch embedding + positions, pre-norm blocks,
 * LayerNorm.
 *
 * Context and target encoder are this function with different weights. Patches that are masked are left out before, so
 * that only visible ones are embedded.
 * Letters: B images, N patches given, P = p p 3, D width.
 * @param patches [B, N, P]
 * @param positions [B, N, D] or [1, N, D]
 * @returns [B, N, D]
 */
export function encode(parameters: Parameters, size: VitSize, patches: Tensor, positions: Tensor): Tensor {
  const embedded = embedPatches(parameters, patches).add(positions); // [B, N, D]
  const tokens = transformerBlocks(parameters, 'blocks', size, embedded);
  return norm(parameters, 'norm', tokens);
}

/**
 * Average-pooled features of the last blocks side by side: each block's output through the encoder's final LayerNorm,
 * then the mean over patches. No gradient can be taken, because every block's tokens are freed after the next one.
 *
 * Letters: B images, N patches, P = p p 3, D width, L layers.
 * @param patches [B, N, P]
 * @param positions [1, N, D]
 * @param layers L, not more than there are blocks
 * @returns [B, L D]; the last D columns are the mean of what `encode` gives
 */
export function pooledLayers(
  parameters: Parameters,
  size: VitSize,
  patches: Tensor,
  positions: Tensor,
  layers: number,
): Tensor {
  let x: Tensor = tf.tidy(() => embedPatches(parameters, patches).add(positions)); // [B, N, D]
  const pooled: Tensor[] = [];
  for (let index = 0; index < size.depth; index++) {
    const before = x;
    x = tf.tidy(() => transformerBlock(blockParameters(parameters, 'blocks', index), size.heads, before, 0));
    before.dispose();
    if (index >= size.depth - layers) pooled.push(tf.tidy(() => norm(parameters, 'norm', x).mean(1))); // [B, D]
  }
  const features = tf.concat(pooled, 1); // [B, L D]
  tf.dispose([x, pooled]);
  return features;
}

/**
 * x + attention(norm(x)), then x + mlp(norm(x)), `size.depth` times (paper, appendix A.1). What a gradient does not need
 * is freed at once.
 * @param blocks name of the list of blocks in `parameters`
 * @param tokens [B, N, D]
 * @param skipped how many of the first tokens, S, nobody needs in the end; the last block computes the others only
 * @returns [B, N - S, D]
 */
export function transformerBlocks(
  parameters: Parameters,
  blocks: string,
  size: VitSize,
  tokens: Tensor,
  skipped = 0,
): Tensor {
  let x = tokens;
  for (let index = 0; index < size.depth; index++) {
    const first = index === size.depth - 1 ? skipped : 0;
    x = transformerBlock(blockParameters(parameters, blocks, index), size.heads, x, first);
  }
  return x;
}

/** One block; see `transformerBlocks`. Only the tokens after the first `skipped` ones are computed. */
function transformerBlock(block: Parameters, heads: number, x: Tensor, skipped: number): Tensor {
  const attended = tf.tidy(() => {
    const mixed = attention(project(block, 'attn.qkv', norm(block, 'norm1', x)), heads, skipped);
    return tokensFrom(x, skipped).add(project(block, 'attn.proj', mixed));
  });
  return tf.tidy(() => attended.add(feedForward(block, norm(block, 'norm2', attended))));
}

/** All tokens but the first ones: [B, N, D] -> [B, N - first, D]. */
function tokensFrom(x: Tensor, first: number): Tensor {
  return first === 0 ? x : tf.slice(x, [0, first, 0], [-1, -1, -1]);
}

/** LayerNorm by the name of its scale and bias. */
export function norm(parameters: Parameters, name: string, x: Tensor): Tensor {
  return layerNorm(x, parameter(parameters, `${name}.weight`), parameter(parameters, `${name}.bias`), EPSILON);
}

/** A linear layer by the name of its weight and bias. */
export function project(parameters: Parameters, name: string, x: Tensor): Tensor {
  const { weight, bias } = linearParameters(parameters, name);
  return linear(x, weight, bias);
}

function linearParameters(parameters: Parameters, name: string): LinearParameters {
  return { weight: parameter(parameters, `${name}.weight`), bias: parameter(parameters, `${name}.bias`) };
}

function feedForward(block: Parameters, x: Tensor): Tensor {
  return mlp(x, linearParameters(block, 'mlp.fc1'), linearParameters(block, 'mlp.fc2'));
}

/** The reference's strided convolution as a product: [B, N, P] -> [B, N, D]. */
function embedPatches(parameters: Parameters, patches: Tensor): Tensor {
  const kernel = parameter(parameters, 'patch_embed.proj.weight'); // [D, 3, p, p]
  const weight = tf.transpose(kernel, [0, 2, 3, 1]).reshape([kernel.shape[0] as number, -1]); // [D, P]
  return linear(patches, weight, parameter(parameters, 'patch_embed.proj.bias'));
}
