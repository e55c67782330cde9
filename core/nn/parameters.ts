import type { RandomStream } from '../base/random.js';
import type { Tensor } from '../engine/tf.js';
import { gridSize, hiddenWidth, type ImageShape, type Initialisation, type VitSize } from './sizes.js';

/**
 * The weights of one network by name. Names and shapes are those of the reference code's PyTorch modules: a linear
 * weight is [outputs, inputs], the patch projection [D, 3, p, p], so that checkpoints can be exchanged.
 */
export type Parameters = Readonly<Record<string, Tensor>>;

/** Name and shape of every parameter, in the order in which they are made and stored. */
export type ParameterShapes = Readonly<Record<string, readonly number[]>>;

/** Biases of attention for relative positions; see `relativeBias`. */
export const RELATIVE_TABLE = 'rel_pos_bias.relative_position_bias_table';

/** Rows of that table for pairs with a class token: class and patch, patch and class, class and class. */
export const CLASS_PAIRS = 3;

export function encoderShapes(size: ImageShape & { encoder: VitSize }): ParameterShapes {
  const { encoder, patchSize } = size;
  const { classToken = false, relativePositions = false } = encoder;
  // A row for each difference of rows and of columns of the grid, and those for a class token.
  const tableRows = (2 * gridSize(size) - 1) ** 2 + (classToken ? CLASS_PAIRS : 0);
  return {
    ...(classToken && { cls_token: [1, 1, encoder.dim] }),
    'patch_embed.proj.weight': [encoder.dim, 3, patchSize, patchSize],
    'patch_embed.proj.bias': [encoder.dim],
    ...(relativePositions && { [RELATIVE_TABLE]: [tableRows, encoder.heads] }),
    ...blockShapes('blocks', encoder),
    ...normShapes('norm', encoder.dim),
  };
}

/** Shapes of a predictor or decoder: mask token, projections in and out, blocks. `outputs`: width of what it gives. */
export function decoderShapes(inputs: number, decoder: VitSize, outputs: number): ParameterShapes {
  return {
    mask_token: [1, 1, decoder.dim],
    ...linearShapes('predictor_embed', inputs, decoder.dim),
    ...blockShapes('predictor_blocks', decoder),
    ...normShapes('predictor_norm', decoder.dim),
    ...linearShapes('predictor_proj', decoder.dim, outputs),
  };
}

/** Numbers of a tensor. */
export function lengthOf(shape: readonly number[]): number {
  return shape.reduce((product, side) => product * side, 1);
}

/** Number of values in all parameters. */
export function countParameters(shapes: ParameterShapes): number {
  return Object.values(shapes).reduce((sum, shape) => sum + lengthOf(shape), 0);
}

/** One parameter; a missing name is a bug and says which. */
export function parameter(parameters: Parameters, name: string): Tensor {
  const tensor = parameters[name];
  if (!tensor) throw new Error(`there is no parameter '${name}'; there are ${Object.keys(parameters).join(', ')}`);
  return tensor;
}

/**
 * First values of a parameter: linear weights, the patch projection and tokens truncated normal (std 0.02), biases 0,
 * scales of norms 1. Of residual networks, as torchvision has them: convolutions normal with a variance of 2 / (O k k) (He et
 * al. 2015), running means 0, running variances 1; where the initialisation is `scaled`, the last scales of residual branches are
 * 0, so that every block starts as the identity (Goyal et al. 2017; SimCLR and BYOL).
 */
export function initialValue(
  name: string,
  shape: readonly number[],
  stream: RandomStream,
  initialisation: Initialisation = 'scaled',
): Float32Array {
  const data = new Float32Array(lengthOf(shape));
  if (name.endsWith('bias') || name.endsWith('running_mean')) return data;
  if (initialisation === 'scaled' && /^layer\d+\.\d+\.bn3\.weight$/.test(name)) return data;
  if (shape.length === 1) return data.fill(1);
  if (/(^|\.)(conv\d(\.\d)?|downsample\.0)\.weight$/.test(name)) {
    const std = Math.sqrt(2 / (shape[0] * shape[2] * shape[3]));
    return data.map(() => stream.normal() * std);
  }
  const [, block] = /blocks\.(\d+)\.(?:attn\.proj|mlp\.fc2)\.weight$/.exec(name) ?? [];
  const std = initialisation === 'scaled' && block ? 0.02 / Math.sqrt(2 * (Number(block) + 1)) : 0.02;
  return data.map(() => truncatedNormal(stream) * std);
}

/** Shapes of the blocks of a transformer, by the name of their list. */
export function blockShapes(blocks: string, size: VitSize): ParameterShapes {
  const { dim, layerScale = false } = size;
  const hidden = hiddenWidth(size);
  const block = Object.entries({
    ...(layerScale && { gamma_1: [dim], gamma_2: [dim] }),
    ...normShapes('norm1', dim),
    ...linearShapes('attn.qkv', dim, 3 * dim),
    ...linearShapes('attn.proj', dim, dim),
    ...normShapes('norm2', dim),
    ...linearShapes('mlp.fc1', dim, hidden),
    ...linearShapes('mlp.fc2', hidden, dim),
  });
  const indices = [...Array(size.depth).keys()];
  return Object.fromEntries(
    indices.flatMap((index) => block.map(([name, shape]) => [`${blocks}.${index}.${name}`, shape])),
  );
}

export function linearShapes(name: string, inputs: number, outputs: number): ParameterShapes {
  return { [`${name}.weight`]: [outputs, inputs], [`${name}.bias`]: [outputs] };
}

export function normShapes(name: string, dim: number): ParameterShapes {
  return { [`${name}.weight`]: [dim], [`${name}.bias`]: [dim] };
}

/** A standard normal number cut at ±100 standard deviations: the reference cuts 0.02-wide weights at an absolute ±2. */
function truncatedNormal(stream: RandomStream): number {
  const value = stream.normal();
  return Math.abs(value) <= 100 ? value : truncatedNormal(stream);
}
