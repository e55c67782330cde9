import { RandomStream } from '../base/random.js';
import { type Tensor, tf } from '../engine/tf.js';
import { hiddenWidth, type Initialisation, type ModelSize, type VitSize } from './sizes.js';

/**
 * The weights of one network by name. Names and shapes are those of the reference code's PyTorch modules: a linear
 * weight is [outputs, inputs], the patch projection [D, 3, p, p], so that checkpoints can be exchanged.
 */
export type Parameters = Readonly<Record<string, Tensor>>;

/** Name and shape of every parameter, in the order in which they are made and stored. */
export type ParameterShapes = Readonly<Record<string, readonly number[]>>;

export function encoderShapes({ encoder, patchSize }: Pick<ModelSize, 'encoder' | 'patchSize'>): ParameterShapes {
  return {
    'patch_embed.proj.weight': [encoder.dim, 3, patchSize, patchSize],
    'patch_embed.proj.bias': [encoder.dim],
    ...blockShapes('blocks', encoder),
    ...normShapes('norm', encoder.dim),
  };
}

export function predictorShapes({ encoder, predictor }: ModelSize): ParameterShapes {
  return {
    mask_token: [1, 1, predictor.dim],
    ...linearShapes('predictor_embed', encoder.dim, predictor.dim),
    ...blockShapes('predictor_blocks', predictor),
    ...normShapes('predictor_norm', predictor.dim),
    ...linearShapes('predictor_proj', predictor.dim, encoder.dim),
  };
}

/** A network's fresh weights as tensors; see `initialValues`. */
export function initialise(
  shapes: ParameterShapes,
  seed: number,
  network: string,
  initialisation: Initialisation,
): Parameters {
  const values = initialValues(shapes, seed, network, initialisation);
  return mapShapes(shapes, (name, shape) => tf.tensor((values.get(name) as InitialValue).data, [...shape]));
}

type InitialValue = { shape: readonly number[]; data: Float32Array };

/**
 * Draws a network's weights: linear weights, the patch projection and the mask token truncated normal (std 0.02), biases
 * 0, LayerNorm scales 1.
 * @param network names the random stream, so that encoder and predictor draw different numbers
 */
export function initialValues(
  shapes: ParameterShapes,
  seed: number,
  network: string,
  initialisation: Initialisation,
): Map<string, InitialValue> {
  const stream = new RandomStream(seed, `init/${network}`);
  const entries = Object.entries(shapes).map(([name, shape]): [string, InitialValue] => {
    const data = new Float32Array(shape.reduce((product, side) => product * side, 1));
    if (name.endsWith('bias')) return [name, { shape, data }];
    if (shape.length === 1) return [name, { shape, data: data.fill(1) }];
    const deviation = initialisation === 'scaled' ? 0.02 / residualDivisor(name) : 0.02;
    return [name, { shape, data: data.map(() => truncatedNormal(stream) * deviation) }];
  });
  return new Map(entries);
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

function residualDivisor(name: string): number {
  const match = /blocks\.(\d+)\.(attn\.proj|mlp\.fc2)\.weight$/.exec(name);
  return match ? Math.sqrt(2 * (Number(match[1]) + 1)) : 1;
}

/** A standard normal number cut at ±100 deviations: the reference cuts 0.02-wide weights at an absolute ±2. */
function truncatedNormal(stream: RandomStream): number {
  const value = stream.normal();
  return Math.abs(value) <= 100 ? value : truncatedNormal(stream);
}

function mapShapes(shapes: ParameterShapes, make: (name: string, shape: readonly number[]) => Tensor): Parameters {
  return Object.fromEntries(Object.entries(shapes).map(([name, shape]) => [name, make(name, shape)]));
}
