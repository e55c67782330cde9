import { existsSync } from 'node:fs';
import { copyFile, link, readdir, rename, rm } from 'node:fs/promises';
import { z } from 'zod';
import { UNFINISHED } from '../atomic.js';
import { type Tensor, tf } from '../engine/tf.js';
import { explainSystemError, UserError } from '../errors.js';
import { encoderShapes, type ParameterShapes, type Parameters, predictorShapes } from '../model/parameters.js';
import type { ModelSize } from '../model/sizes.js';
import { tryJson } from '../text.js';
import type { TrainState } from '../train/step.js';
import { type WatchMemory, watchMemorySchema } from '../train/watch-memory.js';
import { epochCheckpoint, epochOf, latestCheckpoint, previousCheckpoint } from './names.js';
import { readSafetensors, type StoredTensor, type TensorFile, writeSafetensors } from './safetensors.js';

/** What a checkpoint says about its run, beside the tensors. */
export interface CheckpointFacts {
  epoch: number;
  /** Names and sizes of the model, for those who read the file without its run. */
  model: ModelSize;
  watch: WatchMemory | null;
}

export interface Checkpoint {
  state: TrainState;
  watch: WatchMemory | null;
}

const FORMAT = 'ijepa-checkpoint-1';

const count = z.coerce.number().pipe(z.int().min(0));
/** What a checkpoint's metadata says of the run's position. */
const saidSchema = z.object({
  step: count,
  watch: z.preprocess((text) => tryJson(String(text)), watchMemorySchema.nullable()).catch(null),
});

/**
 * Saves a state as `latest.safetensors`; the one before stays as `previous.safetensors`.
 *
 * Tensors are named as in the reference code's checkpoints (`encoder.*`, `predictor.*`, `target_encoder.*`); AdamW's
 * moments are `optimizer.first.*` and `optimizer.second.*`. Nothing is left half-written: at every moment there is a
 * whole newest checkpoint.
 */
export async function saveCheckpoint(folder: string, state: TrainState, facts: CheckpointFacts): Promise<void> {
  const tensors = new Map<string, StoredTensor>();
  for (const [prefix, parameters] of groups(state)) {
    for (const [name, tensor] of Object.entries(parameters)) {
      tensors.set(prefix + name, { shape: tensor.shape, data: await floats(tensor) });
    }
  }
  const latest = latestCheckpoint(folder);
  if (existsSync(latest)) await replaceByLink(latest, previousCheckpoint(folder));
  await writeSafetensors(latest, tensors, {
    format: FORMAT,
    step: String(state.step),
    epoch: String(facts.epoch),
    model: JSON.stringify(facts.model),
    watch: JSON.stringify(facts.watch),
  });
}

/** Keeps the newest checkpoint under its epoch's number as well, and of those files only the newest `keep`. */
export async function keepEpoch(folder: string, epoch: number, keep: number): Promise<void> {
  if (keep > 0) await replaceByLink(latestCheckpoint(folder), epochCheckpoint(folder, epoch));
  const epochs = (await readdir(folder)).map(epochOf).filter((kept) => kept !== null);
  epochs.sort((a, b) => b - a);
  for (const old of epochs.slice(keep)) await rm(epochCheckpoint(folder, old), { force: true });
}

/**
 * Reads a checkpoint for a model of the given size.
 * @throws UserError if the file is missing, damaged, no checkpoint, or of another model
 */
export async function loadCheckpoint(path: string, size: ModelSize): Promise<Checkpoint> {
  const file = await readSafetensors(path);
  if (file.metadata.format !== FORMAT) {
    throw new UserError(`${path} is not a checkpoint of ijepa pretrain`, {
      expected: `a safetensors file whose metadata has format ${FORMAT}`,
    });
  }
  const said = saidSchema.safeParse(file.metadata);
  if (!said.success) throw new UserError(`${path} is damaged: it does not say which step it is of`);
  const encoder = encoderShapes(size);
  const predictor = predictorShapes(size);
  const moments = { ...prefixed('encoder.', encoder), ...prefixed('predictor.', predictor) };
  const state = {
    step: said.data.step,
    weights: {
      encoder: readGroup(path, file, 'encoder.', encoder),
      predictor: readGroup(path, file, 'predictor.', predictor),
      target: readGroup(path, file, 'target_encoder.', encoder),
    },
    moments: {
      first: readGroup(path, file, 'optimizer.first.', moments),
      second: readGroup(path, file, 'optimizer.second.', moments),
    },
  };
  // The shapes are the same; the number of heads, for one, shows in no shape.
  if (file.metadata.model !== JSON.stringify(size)) throw otherModel(path, `its sizes are ${file.metadata.model}`);
  return { state, watch: said.data.watch };
}

function groups({ weights, moments }: TrainState): [string, Parameters][] {
  return [
    ['encoder.', weights.encoder],
    ['predictor.', weights.predictor],
    ['target_encoder.', weights.target],
    ['optimizer.first.', moments.first],
    ['optimizer.second.', moments.second],
  ];
}

function readGroup(path: string, file: TensorFile, prefix: string, shapes: ParameterShapes): Parameters {
  const entries = Object.entries(shapes).map(([name, shape]): [string, Tensor] => {
    const stored = file.tensors.get(prefix + name);
    if (!(stored?.data instanceof Float32Array) || stored.shape.join() !== shape.join()) {
      const received = stored ? `[${stored.shape}]` : 'not there';
      throw otherModel(path, `the tensor ${prefix}${name} is ${received} instead of [${shape}]`);
    }
    return [name, tf.tensor(stored.data, [...shape])];
  });
  return Object.fromEntries(entries);
}

function otherModel(path: string, difference: string): UserError {
  return new UserError(`${path} is of another model: ${difference}`, {
    expected: 'a checkpoint of the model that the configuration describes',
    remedy: 'use the configuration that the checkpoint was trained with',
  });
}

function prefixed(prefix: string, shapes: ParameterShapes): ParameterShapes {
  return Object.fromEntries(Object.entries(shapes).map(([name, shape]) => [prefix + name, shape]));
}

/** Gives a file a second name, replacing what has it, without a moment at which that name is missing. */
async function replaceByLink(from: string, to: string): Promise<void> {
  const temporary = to + UNFINISHED;
  try {
    await rm(temporary, { force: true });
    await link(from, temporary).catch(() => copyFile(from, temporary)); // some file systems have no links
    await rename(temporary, to);
  } catch (error) {
    throw explainSystemError(error, to);
  }
}

async function floats(tensor: Tensor): Promise<Float32Array> {
  return (await tensor.data()) as Float32Array;
}
