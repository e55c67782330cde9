import { z } from 'zod';
import { UserError } from '../base/errors.js';
import { tryJson } from '../base/text.js';
import { type Tensor, tf } from '../engine/tf.js';
import { encoderShapes, type ParameterShapes, type Parameters, predictorShapes } from '../nn/parameters.js';
import type { ModelSize } from '../nn/sizes.js';
import { type WatchMemory, watchMemorySchema } from '../run/watch-memory.js';
import type { TrainState } from '../train/step.js';
import { FORMAT, requireOwnFormat } from './format.js';
import { DamagedFile, readSafetensors, type StoredTensor, type TensorFile } from './safetensors.js';

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

const count = z.coerce.number().pipe(z.int().min(0));
/** What a checkpoint's metadata says of the run's position. */
const saidSchema = z.object({
  step: count,
  model: z.string().transform(tryJson),
  watch: z.preprocess((text) => tryJson(String(text)), watchMemorySchema.nullable()).catch(null),
});

/** The tensors of a state by their names in a checkpoint, in memory that threads share. */
export type StateCopy = ReadonlyMap<string, StoredTensor & { data: Float32Array }>;

/**
 * Copies a state out of the engine. Tensors are named as in the reference code's checkpoints (`encoder.*`,
 * `predictor.*`, `target_encoder.*`); AdamW's moments are `optimizer.first.*` and `optimizer.second.*`.
 * @param before an earlier copy, whose memory is used again
 */
export async function copyState(state: TrainState, before: StateCopy | null): Promise<StateCopy> {
  const copies = new Map<string, StoredTensor & { data: Float32Array }>();
  for (const [prefix, parameters] of groups(state)) {
    for (const [name, tensor] of Object.entries(parameters)) {
      const numbers = (await tensor.data()) as Float32Array;
      const data = before?.get(prefix + name)?.data ?? new Float32Array(new SharedArrayBuffer(numbers.byteLength));
      data.set(numbers);
      copies.set(prefix + name, { shape: tensor.shape, data });
    }
  }
  return copies;
}

/** A checkpoint's metadata. */
export function checkpointMetadata(step: number, { epoch, model, watch }: CheckpointFacts): Record<string, string> {
  return {
    format: FORMAT,
    step: String(step),
    epoch: String(epoch),
    model: JSON.stringify(model),
    watch: JSON.stringify(watch),
  };
}

/**
 * Reads a checkpoint for a model of the given size.
 * @throws DamagedFile if it is not as it was written; UserError if it is missing, no checkpoint, or of another model
 */
export async function loadCheckpoint(path: string, size: ModelSize): Promise<Checkpoint> {
  const file = await readSafetensors(path);
  requireOwnFormat(path, file);
  const said = saidSchema.safeParse(file.metadata);
  if (!said.success) throw new DamagedFile(`${path} is damaged: it does not say of which step and model it is`);
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
  if (!isOfModel(said.data.model, size)) throw otherModel(path, `its sizes are ${file.metadata.model}`);
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

/** Whether what is recorded of a model's sizes is as in `size`. What a record lacks is left to its run's configuration. */
function isOfModel(recorded: unknown, size: object): boolean {
  if (recorded === null || typeof recorded !== 'object') return false;
  const sizes: Readonly<Record<string, unknown>> = { ...size };
  return Object.entries(recorded).every(([name, value]) => {
    const part = sizes[name];
    return part !== null && typeof part === 'object' ? isOfModel(value, part) : part === value;
  });
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
