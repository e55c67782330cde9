import { z } from 'zod';
import { UserError } from '../base/errors.js';
import { LARGEST_GRID } from '../nn/sizes.js';
import { ratioOf } from './bare.js';
import { type EncoderFile, type Naming, POSITIONS } from './encoder-file.js';
import type { Classifier } from './onnx/encoder.js';

/* Vision transformers as Hugging Face's transformers names and describes them. */

/** A family of models there: what its config.json calls itself, and how it names its weights. */
export interface Family {
  readonly name: string;
  /** Its class without a head. */
  readonly model: string;
  /** The title of the method that trained it; null where there are several. */
  readonly method: string | null;
  /** What stands before the names of the encoder's weights where the model has a head or decoder. */
  readonly prefix: string;
  readonly classToken: boolean;
  readonly layerScale: boolean;
  /** By the parts of a block as we name them. */
  readonly layers: Readonly<Record<string, string | readonly string[]>>;
  /** Weights of a whole model that the encoder has no use for. */
  readonly beside: RegExp;
  /** Its class with a linear head that the mean over patches can be given to; null where it sees the class token alone. */
  readonly classified: { model: string; weights: (head: Classifier, dim: number) => Classifier } | null;
}

const attention = {
  'attn.qkv': ['query', 'key', 'value'].map((part) => `attention.attention.${part}`),
  'attn.proj': 'attention.output.dense',
};
const vit = {
  classToken: true,
  layerScale: false,
  prefix: 'vit.',
  layers: {
    ...attention,
    norm1: 'layernorm_before',
    norm2: 'layernorm_after',
    'mlp.fc1': 'intermediate.dense',
    'mlp.fc2': 'output.dense',
  },
};

const FAMILIES: readonly Family[] = [
  {
    ...vit,
    name: 'ijepa',
    model: 'IJepaModel',
    method: 'I-JEPA',
    prefix: 'ijepa.',
    classToken: false,
    beside: /^(?:classifier|pooler|ijepa\.pooler)\./,
    classified: { model: 'IJepaForImageClassification', weights: (head) => head },
  },
  {
    ...vit,
    name: 'vit',
    model: 'ViTModel',
    method: null,
    beside: /^(?:classifier|pooler|vit\.pooler)\./,
    classified: null,
  },
  {
    ...vit,
    name: 'vit_mae',
    model: 'ViTMAEModel',
    method: 'MAE',
    beside: /^(?:classifier|decoder)\./,
    classified: null,
  },
  {
    name: 'dinov2',
    model: 'Dinov2Model',
    method: 'DINOv2',
    prefix: 'dinov2.',
    classToken: true,
    layerScale: true,
    layers: {
      ...attention,
      norm1: 'norm1',
      norm2: 'norm2',
      'mlp.fc1': 'mlp.fc1',
      'mlp.fc2': 'mlp.fc2',
      gamma_1: 'layer_scale1.lambda1',
      gamma_2: 'layer_scale2.lambda1',
    },
    beside: /^classifier\.|^(?:dinov2\.)?embeddings\.mask_token$/,
    classified: { model: 'Dinov2ForImageClassification', weights: besideClassToken },
  },
];

/** Of a head that sees the class token and the mean over patches side by side, [C, 2 D]: nothing of the first. */
function besideClassToken({ weight, bias }: Classifier, dim: number): Classifier {
  const wide = new Float32Array(2 * weight.length);
  for (let c = 0; c < bias.length; c++) wide.set(weight.subarray(c * dim, (c + 1) * dim), (2 * c + 1) * dim);
  return { weight: wide, bias };
}

const side = z.int().min(1);
const configSchema = z
  .object({
    model_type: z.string(),
    hidden_size: side.default(768),
    num_hidden_layers: side.default(12),
    num_attention_heads: side.default(12),
    intermediate_size: side.optional(),
    mlp_ratio: z.number().positive().default(4),
    image_size: side.default(224),
    patch_size: side.default(16),
    num_channels: z.literal(3).default(3),
    hidden_act: z.literal('gelu').default('gelu'),
    qkv_bias: z.literal(true).default(true),
    use_swiglu_ffn: z.literal(false).default(false),
    layer_norm_eps: z.number().positive().optional(),
  })
  .refine(({ image_size, patch_size }) => image_size % patch_size === 0 && image_size / patch_size <= LARGEST_GRID)
  .refine(({ hidden_size, num_attention_heads }) => hidden_size % 4 === 0 && hidden_size % num_attention_heads === 0);

/**
 * What a config.json says of a model.
 * @throws UserError if it is of another family, or of sizes or parts that there are none of here
 */
export function readConfig(path: string, config: unknown): { family: Family; size: EncoderFile['size'] } {
  const parsed = configSchema.safeParse(config);
  const type = z.object({ model_type: z.string() }).safeParse(config).data?.model_type;
  const family = FAMILIES.find(({ name }) => name === type);
  if (!family) {
    throw new UserError(`${path} describes a model of the type ${type ?? 'null'}`, {
      expected: `one of the types ${FAMILIES.map(({ name }) => name).join(', ')}`,
      remedy: 'name a model of those, or its weights by the names of the reference code',
    });
  }
  if (!parsed.success) {
    const [{ path: at, message }] = parsed.error.issues;
    throw new UserError(`${path} describes a model that is not supported: ${at.join('.') || 'its sizes'}: ${message}`, {
      expected: 'colour images of whole patches, exact GELU, biases, and a width that is a multiple of its heads',
      remedy: 'use another model',
    });
  }
  const { hidden_size: dim, num_hidden_layers: depth, num_attention_heads: heads, ...rest } = parsed.data;
  const { intermediate_size, mlp_ratio, image_size: imageSize, patch_size: patchSize } = rest;
  const { classToken, layerScale } = family;
  const hidden = layerScale ? Math.floor(dim * mlp_ratio) : (intermediate_size ?? 4 * dim);
  const normEpsilon = rest.layer_norm_eps ?? (layerScale ? 1e-6 : 1e-12);
  const flags = { ...(classToken && { classToken }), ...(layerScale && { layerScale }) };
  const other = normEpsilon !== 1e-6 && { normEpsilon };
  const encoder = { dim, depth, heads, mlpRatio: ratioOf(hidden, dim), ...flags, ...other };
  return { family, size: { imageSize, patchSize, encoder } };
}

/** The family in whose names an encoder can be written, with its config.json; null where there is none. */
export function describe({ imageSize, patchSize, encoder }: EncoderFile['size']) {
  const { dim, depth, heads, mlpRatio, classToken = false, layerScale = false, relativePositions = false } = encoder;
  const like = FAMILIES.find((each) => each.classToken === classToken && each.layerScale === layerScale);
  if (!like || relativePositions) return null;
  const config = {
    architectures: [like.model],
    model_type: like.name,
    hidden_size: dim,
    num_hidden_layers: depth,
    num_attention_heads: heads,
    ...(layerScale ? { mlp_ratio: mlpRatio } : { intermediate_size: Math.floor(dim * mlpRatio) }),
    hidden_act: 'gelu',
    hidden_dropout_prob: 0,
    attention_probs_dropout_prob: 0,
    initializer_range: 0.02,
    layer_norm_eps: encoder.normEpsilon ?? 1e-6,
    image_size: imageSize,
    patch_size: patchSize,
    num_channels: 3,
    qkv_bias: true,
  };
  return { family: like, config };
}

/** How a family names an encoder's weights. */
export function namingOf({ layers, prefix, beside }: Family, hasPrefix: boolean): Naming {
  const first = hasPrefix ? prefix : '';
  return {
    source: 'its config.json',
    of: (parameter) => namesOf(layers, parameter).map((name) => first + name),
    ignored: (name) => beside.test(name),
  };
}

const OUTSIDE: Readonly<Record<string, string>> = {
  [POSITIONS]: 'embeddings.position_embeddings',
  cls_token: 'embeddings.cls_token',
  'patch_embed.proj': 'embeddings.patch_embeddings.projection',
  norm: 'layernorm',
};

function namesOf(layers: Family['layers'], parameter: string): readonly string[] {
  const [, block, part = parameter] = /^blocks\.(\d+)\.(.+)$/.exec(parameter) ?? [];
  const table = block === undefined ? OUTSIDE : layers;
  const ours = part in table ? part : part.slice(0, part.lastIndexOf('.'));
  const kind = part.slice(ours.length); // '.weight', '.bias', or nothing
  const theirs = [table[ours]].flat();
  return theirs.map((name) => `${block === undefined ? '' : `encoder.layer.${block}.`}${name}${kind}`);
}
