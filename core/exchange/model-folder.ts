import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import { z } from 'zod';
import { reasonOf, UserError } from '../base/errors.js';
import { parseJson, readText } from '../base/text.js';
import { readSafetensors, type StoredTensor, type TensorFile } from '../checkpoint/safetensors.js';
import { MEAN, STD } from '../data/normalise.js';
import { chooseNetwork, ONLY, ofFile, readBare, requireOnly } from './bare.js';
import { type EncoderFile, type EncoderTensors, type Given, takeEncoder } from './encoder-file.js';
import { namingOf, readConfig } from './hugging-face.js';

/** The file that makes a folder one of Hugging Face or timm. */
export const CONFIG = 'config.json';
export const WEIGHTS = 'model.safetensors';
export const PROCESSOR = 'preprocessor_config.json';
/** Which of several files holds what. */
const INDEX = `${WEIGHTS}.index.json`;
/** Bytes of a description. */
const LONGEST = 1 << 24;

const colours = z.tuple([z.number(), z.number(), z.number()]);
const deviations = z.tuple([z.number().positive(), z.number().positive(), z.number().positive()]);
const timmSchema = z.object({
  architecture: z.string(),
  model_args: z.object({ num_heads: z.int().min(1).optional() }).optional(),
  pretrained_cfg: z
    .object({ tag: z.string().optional(), mean: colours.optional(), std: deviations.optional() })
    .default({}),
});
const processorSchema = z.object({
  image_mean: colours,
  image_std: deviations,
  do_normalize: z.boolean().default(true),
});

/**
 * Reads the encoder of a folder as Hugging Face's hub serves it: of transformers (I-JEPA, ViT, MAE, DINOv2), or of timm.
 * @throws UserError if it is of another kind, damaged or incomplete
 */
export async function readModelFolder(folder: string, encoder: string | null, given: Given): Promise<EncoderFile> {
  requireOnly(folder, encoder);
  const configPath = join(folder, CONFIG);
  const config = await readJson(configPath);
  const timm = timmSchema.safeParse(config).data;
  if (timm) {
    const { tag = '', mean = MEAN, std = STD } = timm.pretrained_cfg;
    const heads = timm.model_args?.num_heads;
    const file = await readWeights(folder);
    const read = readBare(folder, chooseNetwork(folder, file.tensors, null), file.metadata, {
      ...given,
      ...(heads !== undefined && { heads }),
    });
    const method = tag.includes('ijepa') || timm.architecture.includes('ijepa') ? 'I-JEPA' : null;
    takeNormalisation(read, mean, std);
    return { ...read, facts: ofFile(folder, file.metadata, method) };
  }
  const { family, size } = readConfig(configPath, config);
  const { tensors: stored, metadata } = await readWeights(folder);
  const naming = namingOf(family, stored.has(`${family.prefix}embeddings.patch_embeddings.projection.weight`));
  const facts = ofFile(folder, metadata, family.method);
  const read = { size, ...takeEncoder(folder, stored, size, naming), facts, names: [ONLY], notes: [] };
  const processor = await readProcessor(folder);
  if (!processor) return read;
  if (family.name !== 'ijepa') {
    takeNormalisation(read, processor.mean, processor.std);
    return read;
  }
  if (isOurs(processor)) return read;
  // The published models were trained on ImageNet's statistics, but are published with a mean of 0.5.
  const note = `${PROCESSOR} normalises colours by other numbers than I-JEPA was trained with; ImageNet's are used`;
  return { ...read, notes: [note] };
}

/** The tensors of a folder's one file, or of all that its index names. */
async function readWeights(folder: string): Promise<Pick<TensorFile, 'tensors' | 'metadata'>> {
  const single = join(folder, WEIGHTS);
  const index = join(folder, INDEX);
  if (existsSync(single)) return readSafetensors(single);
  if (!existsSync(index)) {
    throw new UserError(`there is no ${WEIGHTS} in ${folder}`, {
      expected: `the weights of the model that ${CONFIG} describes, or an index of them, ${INDEX}`,
      remedy: `fetch the whole folder; weights as pytorch_model.bin are named by themselves`,
    });
  }
  const parsed = z.object({ weight_map: z.record(z.string(), z.string()) }).safeParse(await readJson(index));
  const files = new Set(Object.values(parsed.data?.weight_map ?? {}));
  if (files.size === 0 || [...files].some((name) => name !== basename(name) || name.includes('\\'))) {
    throw new UserError(`${index} does not say which file holds which weights`, {
      expected: 'names of files beside it',
    });
  }
  const tensors = new Map<string, StoredTensor>();
  let metadata: TensorFile['metadata'] = {};
  for (const name of files) {
    const part = await readSafetensors(join(folder, name));
    for (const [tensor, value] of part.tensors) tensors.set(tensor, value);
    metadata = part.metadata;
  }
  return { tensors, metadata };
}

async function readProcessor(folder: string) {
  const path = join(folder, PROCESSOR);
  if (!existsSync(path)) return null;
  const { data } = processorSchema.safeParse(await readJson(path));
  if (!data) return null;
  if (!data.do_normalize) return { mean: [0, 0, 0], std: [1, 1, 1] };
  return { mean: data.image_mean, std: data.image_std };
}

async function readJson(path: string): Promise<unknown> {
  const text = await readText(path, LONGEST);
  try {
    return parseJson(text);
  } catch (error) {
    throw new UserError(`${path} is not JSON: ${reasonOf(error)}`, { remedy: 'fetch it again' }, { cause: error });
  }
}

function isOurs({ mean, std }: { mean: readonly number[]; std: readonly number[] }): boolean {
  return mean.every((x, i) => x === MEAN[i]) && std.every((x, i) => x === STD[i]);
}

/**
 * Makes an encoder that was trained on colours (x - m') / s' one of colours (x - m) / s as they are given here. The
 * projection of patches W, b is linear: W s / s' and b + sum(W (m - m') / s') give the same for every image.
 */
function takeNormalisation(
  { tensors }: { tensors: EncoderTensors },
  mean: readonly number[],
  std: readonly number[],
): void {
  if (isOurs({ mean, std })) return;
  const weight = tensors.get('patch_embed.proj.weight');
  const bias = tensors.get('patch_embed.proj.bias')?.data;
  if (!weight || !bias) return;
  const { shape, data } = weight; // [D, 3, p, p]
  const pixels = shape[2] * shape[3];
  for (let at = 0; at < data.length; at++) {
    const colour = Math.floor(at / pixels) % 3;
    bias[Math.floor(at / (3 * pixels))] += (data[at] * (MEAN[colour] - mean[colour])) / std[colour];
    data[at] *= STD[colour] / std[colour];
  }
}
