import { existsSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { z } from 'zod';
import { explainSystemError, UserError } from '../base/errors.js';
import { tryJson } from '../base/text.js';
import { requireChecksum } from '../checkpoint/format.js';
import { checkpointsByAge, latestCheckpoint } from '../checkpoint/names.js';
import { DamagedFile, readSafetensors, type StoredTensor, type TensorFile } from '../checkpoint/safetensors.js';
import { readRunRecord } from '../config/record.js';
import { modelSize } from '../config/settings.js';
import { LARGEST_GRID } from '../methods/masks/blocks.js';
import { encoderShapes } from '../nn/parameters.js';
import { sincosTable } from '../nn/positions.js';
import { gridSize, type ModelSize } from '../nn/sizes.js';
import { runFolder } from '../run/run-folder.js';

export type EncoderName = 'target' | 'context';

/** The weights of an encoder by the reference code's names, without a prefix. */
export type EncoderTensors = ReadonlyMap<string, { shape: readonly number[]; data: Float32Array }>;

/** What a checkpoint holds of one of its encoders. */
export interface EncoderFile {
  /** The file that was read. */
  path: string;
  size: ModelSize;
  tensors: EncoderTensors;
  /** Epochs of pretraining, and on what; null where that is not known. */
  epochs: number | null;
  pretrainedOn: string | null;
}

/** The reference code's name of its fixed positions, which its checkpoints hold. */
const POSITIONS = 'pos_embed';
const PREFIX: Record<EncoderName, string> = { target: 'target_encoder.', context: 'encoder.' };

const side = z.int().min(1);
const vitSchema = z.object({ dim: side, depth: side, heads: side, mlpRatio: z.number().positive() });
/** What a checkpoint's metadata says of the sizes of its model. */
const sizeSchema = z
  .object({ imageSize: side, patchSize: side, encoder: vitSchema, predictor: vitSchema })
  .refine(({ imageSize, patchSize }) => imageSize % patchSize === 0 && imageSize / patchSize <= LARGEST_GRID)
  .refine(({ encoder }) => encoder.dim % 4 === 0 && encoder.dim % encoder.heads === 0);

/**
 * Reads one of a checkpoint's encoders, from a .safetensors file or the newest one of a run's folder.
 * @throws UserError if it is missing, damaged, no checkpoint, or its tensors are of another model than it says
 */
export async function readEncoder(checkpoint: string, encoder: EncoderName): Promise<EncoderFile> {
  const path = checkpointFile(checkpoint);
  const file = await readChecked(path, (name) => name.startsWith(PREFIX[encoder])).catch((error: unknown) => {
    throw path !== checkpoint && error instanceof DamagedFile ? withOlder(error, checkpoint) : error;
  });
  const size = readSize(path, file.metadata.model);
  const tensors = readTensors(path, file, encoder, size);
  const epochs = z
    .string()
    .pipe(z.coerce.number())
    .pipe(z.int().min(0))
    .nullable()
    .catch(null)
    .parse(file.metadata.epoch);
  return { path, size, tensors, epochs, pretrainedOn: await dataOfRun(path, size) };
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
  const none = new UserError(`there is no checkpoint in the folder ${checkpoint} that is called latest`, {
    expected: 'a checkpoint (.safetensors), or the folder of a run that has saved one',
    remedy: 'name a checkpoint, or the folder that was given to pretrain as --out',
  });
  throw withOlder(none, checkpoint);
}

/** Reads a file's tensors; a checkpoint of this program must have its checksum. */
async function readChecked(path: string, wanted: (name: string) => boolean): Promise<TensorFile> {
  const file = await readSafetensors(path, wanted);
  requireChecksum(path, file);
  return file;
}

/** An error about a run's newest checkpoint, with the one before it as the remedy where there is one. */
function withOlder(error: UserError, run: string): UserError {
  const { checkpoints } = runFolder(run);
  const older = existsSync(checkpoints) ? checkpointsByAge(checkpoints)[1] : undefined;
  if (older === undefined) return error;
  const remedy = `name the one before it, ${older}, or go on with the run, which starts from that`;
  return new UserError(error.message, { ...error.advice, remedy }, { cause: error });
}

function readSize(path: string, text: string | undefined): ModelSize {
  const size = sizeSchema.safeParse(text === undefined ? undefined : tryJson(text));
  if (size.success) return size.data;
  throw new UserError(`${path} is not a checkpoint: its metadata has no sizes of a model`, {
    expected: "a file that `ijepa pretrain` wrote, or one with the same entry 'model' in its metadata",
    remedy: 'name a checkpoint of pretraining, or the folder of its run',
  });
}

function readTensors(path: string, file: TensorFile, encoder: EncoderName, size: ModelSize): EncoderTensors {
  const prefix = PREFIX[encoder];
  if (file.tensors.size === 0) {
    throw new UserError(`${path} has no ${encoder} encoder`, {
      expected: `tensors whose names start with ${prefix}`,
      remedy: `use --encoder ${encoder === 'target' ? 'context' : 'target'}, or another checkpoint`,
    });
  }
  const { depth } = size.encoder;
  // Before anything is made for each block that is claimed.
  if (depth > file.tensors.size) throw otherArchitecture(path, `${file.tensors.size} tensors make no ${depth} blocks`);
  const shapes = encoderShapes(size);
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
async function dataOfRun(path: string, size: ModelSize): Promise<string | null> {
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
