import { createHash } from 'node:crypto';
import { statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { z } from 'zod';
import { latestCheckpoint } from '../checkpoint/names.js';
import { runFolder } from '../checkpoint/run-folder.js';
import { readSafetensors, type StoredTensor, type TensorFile } from '../checkpoint/safetensors.js';
import { readRunRecord } from '../config/record.js';
import { modelSize } from '../config/settings.js';
import { type Tensor, type Tensor2D, tf } from '../engine/tf.js';
import { explainSystemError, UserError } from '../errors.js';
import { encoderShapes, initialValues, type Parameters } from '../model/parameters.js';
import { interpolatePositions, sincosTable } from '../model/positions.js';
import { ARCHITECTURES, gridSize, type ModelSize, type VitSize } from '../model/sizes.js';

/** A frozen encoder that turns images into features. */
export interface FeatureNetwork {
  readonly encoder: Parameters;
  readonly size: VitSize;
  readonly patchSize: number;
  /** Side of the images that it is given, in pixels. */
  readonly imageSize: number;
  /** Side of the images that it was trained on; elsewhere its positions are interpolated. */
  readonly trainedImageSize: number;
  /** 'ViT-S/16', or 'ViT 96x4/8' for sizes without a name. */
  readonly arch: string;
  readonly facts: NetworkFacts;
  dispose(): void;
}

export type EncoderName = 'target' | 'context';

/** Where a network's weights come from. */
export interface NetworkFacts {
  readonly weights: 'pretrained' | 'random';
  readonly encoder: EncoderName;
  /** Of pretraining; null where it is not known. */
  readonly epochs: number | null;
  /** What it was pretrained on, for people; null for random weights, or where it is not known. */
  readonly pretrainedOn: string | null;
  readonly checkpoint: string | null;
  /** SHA-256 of the encoder's tensors: names, shapes and bytes. */
  readonly fingerprint: string;
}

/** The reference code's name of its fixed positions, which its checkpoints hold. */
const POSITIONS = 'pos_embed';
const PREFIX: Record<EncoderName, string> = { target: 'target_encoder.', context: 'encoder.' };

/** As the paper writes them. */
const SHORT_NAMES: Record<keyof typeof ARCHITECTURES, string> = {
  'vit-tiny': 'ViT-Ti',
  'vit-small': 'ViT-S',
  'vit-base': 'ViT-B',
  'vit-large': 'ViT-L',
  'vit-huge': 'ViT-H',
  'vit-giant': 'ViT-G',
};

const side = z.int().min(1);
const vitSchema = z.object({ dim: side, depth: side, heads: side, mlpRatio: z.number().positive() });
/** What a checkpoint's metadata says of the sizes of its model. */
const sizeSchema = z
  .object({ imageSize: side, patchSize: side, encoder: vitSchema, predictor: vitSchema })
  .refine(({ imageSize, patchSize }) => imageSize % patchSize === 0)
  .refine(({ encoder }) => encoder.dim % 4 === 0 && encoder.dim % encoder.heads === 0);

/**
 * Reads one of a checkpoint's two encoders.
 * @param checkpoint a .safetensors file whose metadata has the sizes of the model, as `pretrain` writes it, or a run's
 *   folder, of which the newest checkpoint is taken
 * @throws UserError if it is missing, damaged, no checkpoint, or its tensors are of another model than it says
 */
export async function loadNetwork(checkpoint: string, encoder: EncoderName): Promise<FeatureNetwork> {
  const path = checkpointFile(checkpoint);
  const prefix = PREFIX[encoder];
  const file = await readSafetensors(path, (name) => name.startsWith(prefix));
  const size = readSize(path, file.metadata.model);
  const tensors = readEncoder(path, file, encoder, size);
  const epochs = z.coerce.number().pipe(z.int().min(0)).safeParse(file.metadata.epoch);
  return networkOf(tensors, size, {
    weights: 'pretrained',
    encoder,
    epochs: file.metadata.epoch !== undefined && epochs.success ? epochs.data : null,
    pretrainedOn: await pretrainedOn(path, size),
    checkpoint: path,
    fingerprint: fingerprintOf(tensors),
  });
}

/** A network of the same sizes with fresh weights. */
export function randomNetwork(like: FeatureNetwork, seed: number): FeatureNetwork {
  const { size: encoder, patchSize, trainedImageSize } = like;
  const size = { imageSize: trainedImageSize, patchSize, encoder };
  const tensors = initialValues(encoderShapes(size), seed, 'encoder', 'scaled');
  const network = networkOf(tensors, size, {
    weights: 'random',
    encoder: like.facts.encoder,
    epochs: null,
    pretrainedOn: null,
    checkpoint: null,
    fingerprint: fingerprintOf(tensors),
  });
  return { ...network, imageSize: like.imageSize };
}

/**
 * The same network for images of another size; it shares its weights, and disposing of either is enough.
 * @throws UserError if patches do not divide the size
 */
export function atImageSize(network: FeatureNetwork, imageSize: number): FeatureNetwork {
  const { patchSize } = network;
  if (Number.isInteger(imageSize) && imageSize >= patchSize && imageSize % patchSize === 0) {
    return { ...network, imageSize };
  }
  throw new UserError(`images of ${imageSize} pixels cannot be cut into patches of ${patchSize}`, {
    expected: `an image size that is a multiple of ${patchSize}`,
    remedy: `use --image-size ${Math.max(1, Math.round(imageSize / patchSize)) * patchSize}`,
  });
}

/**
 * The positions of a network's patches at its image size, [N, D]: those that it was trained with, interpolated where the
 * grid is another one. The caller's to dispose.
 */
export function networkPositions(network: FeatureNetwork): Tensor2D {
  const { imageSize, trainedImageSize, patchSize, size } = network;
  const trained = gridSize({ imageSize: trainedImageSize, patchSize });
  const grid = gridSize({ imageSize, patchSize });
  const table = interpolatePositions(sincosTable(trained, size.dim), trained, grid);
  return tf.tensor2d(table, [grid * grid, size.dim]);
}

type EncoderTensors = ReadonlyMap<string, { shape: readonly number[]; data: Float32Array }>;

function networkOf(
  tensors: EncoderTensors,
  { encoder: size, patchSize, imageSize }: Omit<ModelSize, 'predictor'>,
  facts: NetworkFacts,
): FeatureNetwork {
  const entries = [...tensors].map(([name, { shape, data }]): [string, Tensor] => [name, tf.tensor(data, [...shape])]);
  const encoder: Parameters = Object.fromEntries(entries);
  return {
    encoder,
    size,
    patchSize,
    imageSize,
    trainedImageSize: imageSize,
    arch: architectureName(size, patchSize),
    facts,
    dispose: () => tf.dispose(encoder),
  };
}

function architectureName(size: VitSize, patchSize: number): string {
  const found = Object.entries(ARCHITECTURES).find(
    ([, { dim, depth, heads, mlpRatio }]) =>
      dim === size.dim && depth === size.depth && heads === size.heads && mlpRatio === size.mlpRatio,
  );
  const name = found ? SHORT_NAMES[found[0] as keyof typeof ARCHITECTURES] : `ViT ${size.dim}x${size.depth}`;
  return `${name}/${patchSize}`;
}

/** The file that was named, or the newest checkpoint of the run that was. */
function checkpointFile(checkpoint: string): string {
  try {
    if (!statSync(checkpoint).isDirectory()) return checkpoint;
  } catch (error) {
    throw explainSystemError(error, checkpoint);
  }
  const latest = latestCheckpoint(runFolder(checkpoint).checkpoints);
  if (statSync(latest, { throwIfNoEntry: false })?.isFile()) return latest;
  throw new UserError(`there is no checkpoint in the folder ${checkpoint}`, {
    expected: 'a checkpoint (.safetensors), or the folder of a run that has saved one',
    remedy: 'name a checkpoint, or the folder that was given to pretrain as --out',
  });
}

function readSize(path: string, text: string | undefined): ModelSize {
  const size = sizeSchema.safeParse(text === undefined ? undefined : parseJson(text));
  if (size.success) return size.data;
  throw new UserError(`${path} is not a checkpoint: its metadata has no sizes of a model`, {
    expected: "a file that `ijepa pretrain` wrote, or one with the same entry 'model' in its metadata",
    remedy: 'name a checkpoint of pretraining, or the folder of its run',
  });
}

function readEncoder(path: string, file: TensorFile, encoder: EncoderName, size: ModelSize): EncoderTensors {
  const prefix = PREFIX[encoder];
  const shapes = encoderShapes(size);
  if (file.tensors.size === 0) {
    throw new UserError(`${path} has no ${encoder} encoder`, {
      expected: `tensors whose names start with ${prefix}`,
      remedy: `use --encoder ${encoder === 'target' ? 'context' : 'target'}, or another checkpoint`,
    });
  }
  const entries = Object.entries(shapes).map(([name, shape]) => {
    const stored: StoredTensor | undefined = file.tensors.get(prefix + name);
    if (stored?.data instanceof Float32Array && stored.shape.join() === shape.join()) {
      return [name, { shape, data: stored.data }] as const;
    }
    throw otherArchitecture(path, `the tensor ${prefix}${name} is ${describeTensor(stored)} instead of [${shape}]`);
  });
  checkPositions(path, file.tensors.get(prefix + POSITIONS), size);
  const known = new Set([...Object.keys(shapes), POSITIONS]);
  const extra = [...file.tensors.keys()].find((name) => !known.has(name.slice(prefix.length)));
  if (extra === undefined) return new Map(entries);
  throw otherArchitecture(path, `there is no place for the tensor ${extra}`);
}

/** Positions are computed; where the reference code has stored its own, they must be the same. */
function checkPositions(path: string, stored: StoredTensor | undefined, size: ModelSize): void {
  if (!stored) return;
  const table = sincosTable(gridSize(size), size.encoder.dim);
  const same =
    stored.data.length === table.length && table.every((x, i) => Math.abs(x - Number(stored.data[i])) < 1e-4);
  if (!same) throw otherArchitecture(path, 'its positions are not the fixed sine-cosine ones of its image size');
}

function describeTensor(stored: StoredTensor | undefined): string {
  if (!stored) return 'not there';
  return stored.data instanceof Float32Array ? `[${stored.shape}]` : 'not of 32-bit floating-point numbers';
}

function otherArchitecture(path: string, difference: string): UserError {
  return new UserError(`${path} is of another architecture than its metadata says: ${difference}`, {
    expected: 'the encoder of a vision transformer without class token, as `ijepa pretrain` writes it',
    remedy: 'name a checkpoint of pretraining',
  });
}

/** The data that the run of a checkpoint in a run's folder learned from, or null where that cannot be told. */
async function pretrainedOn(path: string, size: ModelSize): Promise<string | null> {
  const place = dirname(resolve(path));
  const folder = runFolder(dirname(place));
  if (folder.checkpoints !== place) return null;
  try {
    const { options } = await readRunRecord(folder.config);
    return JSON.stringify(modelSize(options)) === JSON.stringify(size) ? options.data.join(', ') : null;
  } catch (error) {
    if (error instanceof UserError) return null;
    throw error;
  }
}

function fingerprintOf(tensors: EncoderTensors): string {
  const hash = createHash('sha256');
  for (const [name, { shape, data }] of [...tensors].sort(([a], [b]) => (a < b ? -1 : 1))) {
    hash.update(`${name}\0${shape.join()}\0`);
    hash.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
  return hash.digest('hex');
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
