import type { Tensor } from '../engine/tf.js';
import { hiddenWidth, type VitSize } from './sizes.js';

/**
 * The weights of one network by name. Names and shapes are those of the reference code's PyTorch modules: a linear
 * weight is [outputs, inputs], the patch projection [D, 3, p, p], so that checkpoints can be exchanged.
 */
export type Parameters = Readonly<Record<string, Tensor>>;

/** Name and shape of every parameter, in the order in which they are made and stored. */
export type ParameterShapes = Readonly<Record<string, readonly number[]>>;

export function encoderShapes({ encoder, patchSize }: { encoder: VitSize; patchSize: number }): ParameterShapes {
  return {
    'patch_embed.proj.weight': [encoder.dim, 3, patchSize, patchSize],
    'patch_embed.proj.bias': [encoder.dim],
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

/** Number of values in all parameters. */
export function countParameters(shapes: ParameterShapes): number {
  return Object.values(shapes).reduce((sum, shape) => sum + shape.reduce((product, side) => product * side, 1), 0);
}

/** The parameters of block `index` under their short names: 'attn.qkv.weight' for 'blocks.3.attn.qkv.weight'. */
export function blockParameters(parameters: Parameters, blocks: string, index: number): Parameters {
  const prefix = `${blocks}.${index}.`;
  return Object.fromEntries(Object.keys(blockShape(1, 1)).map((name) => [name, parameter(parameters, prefix + name)]));
}

/** One parameter; a missing name is a bug and says which. */
export function parameter(parameters: Parameters, name: string): Tensor {
  const tensor = parameters[name];
  if (!tensor) throw new Error(`there is no parameter '${name}'; there are ${Object.keys(parameters).join(', ')}`);
  return tensor;
}

function blockShapes(blocks: string, size: VitSize): ParameterShapes {
  const shapes: Record<string, readonly number[]> = {};
  for (let index = 0; index < size.depth; index++) {
    for (const [name, shape] of Object.entries(blockShape(size.dim, hiddenWidth(size)))) {
      shapes[`${blocks}.${index}.${name}`] = shape;
    }
  }
  return shapes;
}

function blockShape(dim: number, hidden: number): ParameterShapes {
  return {
    ...normShapes('norm1', dim),
    ...linearShapes('attn.qkv', dim, 3 * dim),
    ...linearShapes('attn.proj', dim, dim),
    ...normShapes('norm2', dim),
    ...linearShapes('mlp.fc1', dim, hidden),
    ...linearShapes('mlp.fc2', hidden, dim),
  };
}

function linearShapes(name: string, inputs: number, outputs: number): ParameterShapes {
  return { [`${name}.weight`]: [outputs, inputs], [`${name}.bias`]: [outputs] };
}

function normShapes(name: string, dim: number): ParameterShapes {
  return { [`${name}.weight`]: [dim], [`${name}.bias`]: [dim] };
}
