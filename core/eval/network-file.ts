import { existsSync, statSync } from 'node:fs';
import { z } from 'zod';
import { explainSystemError, UserError, unknownName } from '../base/errors.js';
import { PROGRAM } from '../base/program.js';
import { tryJson } from '../base/text.js';
import { requireChecksum } from '../checkpoint/checkpoint.js';
import { checkpointsByAge, checkpointsFolder, latestCheckpoint } from '../checkpoint/folder.js';
import { DamagedFile, readSafetensors, type TensorFile } from '../checkpoint/safetensors.js';
import { encoderShapes } from '../nn/parameters.js';
import { sincosTable } from '../nn/positions.js';
import { gridSize, type ImageShape, LARGEST_GRID, type VitSize } from '../nn/sizes.js';
import type { EvaluationResult } from './results.js';

/** Where a network's weights come from. */
export interface NetworkFacts extends Omit<EvaluationResult['network'], 'arch' | 'imageSize' | 'encoder'> {
  /** The name of the encoder in its checkpoint: 'target'; null for random weights. */
  encoder: string | null;
  /** Whether that is the one by which the method is judged. */
  isUsualEncoder: boolean;
  /** SHA-256 of the encoder's tensors: names, shapes and bytes. */
  fingerprint: string;
}

/** The weights of an encoder by the reference code's names, without a prefix. */
export type EncoderTensors = ReadonlyMap<string, { shape: readonly number[]; data: Float32Array }>;

/** An encoder's sizes with those of the images that it was trained on, its weights, and where they come from. */
export interface EncoderFile {
  size: ImageShape & { encoder: VitSize };
  tensors: EncoderTensors;
  facts: Omit<NetworkFacts, 'fingerprint'>;
}

/** The reference code's name of its fixed positions, which its checkpoints hold. */
const POSITIONS = 'pos_embed';

const side = z.int().min(1);
const flag = z.boolean().optional();
const vitSchema = z.looseObject({
  dim: side,
  depth: side,
  heads: side,
  mlpRatio: z.number().positive(),
  classToken: flag,
  layerScale: flag,
  relativePositions: flag,
});
/** What a checkpoint's metadata says of its model. */
const modelSchema = z
  .object({
    method: z.string(),
    encoders: z.record(z.string(), z.string()),
    imageSize: side,
    patchSize: side,
    sizes: z.looseObject({ encoder: vitSchema }),
  })
  .refine(({ imageSize, patchSize }) => imageSize % patchSize === 0 && imageSize / patchSize <= LARGEST_GRID)
  .refine(({ sizes: { encoder } }) => encoder.dim % 4 === 0 && encoder.dim % encoder.heads === 0);

/** Reads one of a checkpoint's encoders; what it takes and throws is what `loadNetwork` does. */
export async function readEncoder(checkpoint: string, encoder: string | null): Promise<EncoderFile> {
  const path = checkpointFile(checkpoint);
  let prefix = '';
  const choose = (metadata: TensorFile['metadata']) => {
    const model = readModel(path, metadata.model);
    const names = Object.keys(model.encoders);
    const name = encoder ?? names[0];
    const network = model.encoders[name];
    if (network === undefined) throw unknownName('encoder', name, names, path);
    prefix = `${network}.`;
    return { model, encoder: name, isUsualEncoder: name === names[0] };
  };
  let file: TensorFile;
  try {
    file = await readSafetensors(path, (name, metadata) => {
      if (prefix === '') choose(metadata);
      return name.startsWith(prefix);
    });
    requireChecksum(path, file);
  } catch (error) {
    throw path !== checkpoint && error instanceof DamagedFile ? withOlder(error, checkpoint) : error;
  }
  const { model, ...chosen } = choose(file.metadata);
  const { method, imageSize, patchSize, sizes } = model;
  const size = { imageSize, patchSize, encoder: sizes.encoder as VitSize };
  const whole = z.string().pipe(z.coerce.number()).pipe(z.int().min(0)).nullable().catch(null);
  const epochs = whole.parse(file.metadata.epoch);
  const pretrainedOn = file.metadata.data ?? null;
  return {
    size,
    tensors: readTensors(path, file, prefix, size),
    facts: { weights: 'pretrained', method, ...chosen, epochs, pretrainedOn, checkpoint: path },
  };
}

/** The file that was named, or the newest checkpoint of the run that was. */
function checkpointFile(checkpoint: string): string {
  try {
    if (!statSync(checkpoint).isDirectory()) return checkpoint;
  } catch (error) {
    throw explainSystemError(error, checkpoint);
  }
  const latest = latestCheckpoint(checkpointsFolder(checkpoint));
  if (statSync(latest, { throwIfNoEntry: false })?.isFile()) return latest;
  const none = new UserError(`there is no checkpoint in the folder ${checkpoint} that is called latest`, {
    expected: 'a checkpoint (.safetensors), or the folder of a run that has saved one',
    remedy: 'name a checkpoint, or the folder that was given to pretrain as --out',
  });
  throw withOlder(none, checkpoint);
}

/** An error about a run's newest checkpoint, with the one before it as the remedy where there is one. */
function withOlder(error: UserError, run: string): UserError {
  const checkpoints = checkpointsFolder(run);
  const older = existsSync(checkpoints) ? checkpointsByAge(checkpoints)[1] : undefined;
  if (older === undefined) return error;
  const remedy = `name the one before it, ${older}, or go on with the run, which starts from that`;
  return new UserError(error.message, { ...error.advice, remedy }, { cause: error });
}

function readModel(path: string, text: string | undefined): z.infer<typeof modelSchema> {
  const model = modelSchema.safeParse(text === undefined ? undefined : tryJson(text));
  if (model.success) return model.data;
  throw new UserError(`${path} is not a checkpoint: its metadata does not describe a model`, {
    expected: `a file that \`${PROGRAM} pretrain\` wrote, or one with the same entry 'model' in its metadata`,
    remedy: 'name a checkpoint of pretraining, or the folder of its run',
  });
}

function readTensors(path: string, file: TensorFile, prefix: string, size: EncoderFile['size']): EncoderTensors {
  const otherArchitecture = (difference: string) =>
    new UserError(`${path} is of another architecture than its metadata says: ${difference}`, {
      expected: `an encoder as \`${PROGRAM} pretrain\` writes it`,
      remedy: 'name a checkpoint of pretraining',
    });
  if (file.tensors.size === 0) throw otherArchitecture(`there is no tensor whose name starts with ${prefix}`);
  const { depth } = size.encoder;
  // Before anything is made for each block that is claimed.
  if (depth > file.tensors.size) throw otherArchitecture(`${file.tensors.size} tensors make no ${depth} blocks`);
  const shapes = encoderShapes(size);
  const entries = Object.entries(shapes).map(([name, shape]) => {
    const stored = file.tensors.get(prefix + name);
    if (stored?.data instanceof Float32Array && stored.shape.join() === shape.join()) {
      return [name, { shape, data: stored.data }] as const;
    }
    const other = stored?.data instanceof Float32Array ? `[${stored.shape}]` : 'not of 32-bit floating-point numbers';
    throw otherArchitecture(`the tensor ${prefix}${name} is ${stored ? other : 'not there'} instead of [${shape}]`);
  });
  // Positions are computed; where the reference code has stored its own, they must be the same.
  const positions = file.tensors.get(prefix + POSITIONS)?.data;
  const fixed = positions && sincosTable(gridSize(size), size.encoder.dim);
  const isSame = fixed?.every((x, i) => Math.abs(x - Number(positions?.[i])) < 1e-4) ?? true;
  if (!isSame || positions?.length !== fixed?.length) {
    throw otherArchitecture('its positions are not the fixed sine-cosine ones of its image size');
  }
  const known = new Set([...Object.keys(shapes), POSITIONS]);
  const extra = [...file.tensors.keys()].find((name) => !known.has(name.slice(prefix.length)));
  if (extra === undefined) return new Map(entries);
  throw otherArchitecture(`there is no place for the tensor ${extra}`);
}
