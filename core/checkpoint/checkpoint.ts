import { z } from 'zod';
import { UserError } from '../base/errors.js';
import { mapValues } from '../base/map-values.js';
import { tryJson } from '../base/text.js';
import { type Tensor, tf } from '../engine/tf.js';
import type { Method, Tensors } from '../methods/method.js';
import type { ParameterShapes } from '../nn/parameters.js';
import type { StateShapes, TrainState } from '../train/state.js';
import { FORMAT, requireOwnFormat } from './format.js';
import { DamagedFile, readSafetensors, type StoredTensor, type TensorFile } from './safetensors.js';

/** What a checkpoint says about its run, beside the tensors. */
export interface CheckpointFacts {
  epoch: number;
  /** What the run learns from, for people. */
  data: string;
  model: RecordedModel;
  /** What the run remembers from one observation to the next, as JSON. */
  memory: unknown;
}

/** Method, names and sizes of the networks, for those who read the file without its run. */
export interface RecordedModel {
  /** The method's title, as tables write it. */
  readonly method: string;
  /** Names that users give encoders, and the networks that they are: { target: 'target_encoder' }; the usual one first. */
  readonly encoders: Readonly<Record<string, string>>;
  readonly imageSize: number;
  readonly patchSize: number;
  /** By the networks' names; `encoder` is that of all encoders. */
  readonly sizes: Method['sizes'];
}

export interface Checkpoint {
  state: TrainState;
  memory: unknown;
}

const count = z.coerce.number().pipe(z.int().min(0));
/** What a checkpoint's metadata says of the run's position. */
const saidSchema = z.object({
  step: count,
  model: z.string().transform(tryJson),
  memory: z.string().transform(tryJson).catch(null),
});

/** The tensors of a state by their names in a checkpoint, in memory that threads share. */
export type StateCopy = ReadonlyMap<string, StoredTensor & { data: Float32Array }>;

/**
 * Copies a state out of the engine. Tensors are named by network and parameter, which is how the reference code's
 * checkpoints are read (`encoder.*`, `predictor.*`, `target_encoder.*`); what the optimiser keeps is `optimizer.first.*`,
 * and the method's own state `state.*`.
 * @param before an earlier copy, whose memory is used again
 */
export async function copyState(state: TrainState, before: StateCopy | null): Promise<StateCopy> {
  const copies = new Map<string, StoredTensor & { data: Float32Array }>();
  for (const [prefix, tensors] of groupsOf(state)) {
    for (const [name, tensor] of Object.entries(tensors)) {
      const numbers = (await tensor.data()) as Float32Array;
      const data = before?.get(prefix + name)?.data ?? new Float32Array(new SharedArrayBuffer(numbers.byteLength));
      data.set(numbers);
      copies.set(prefix + name, { shape: tensor.shape, data });
    }
  }
  return copies;
}

/** A checkpoint's metadata. */
export function checkpointMetadata(
  step: number,
  { epoch, data, model, memory }: CheckpointFacts,
): Record<string, string> {
  return {
    format: FORMAT,
    step: String(step),
    epoch: String(epoch),
    data,
    model: JSON.stringify(model),
    memory: JSON.stringify(memory),
  };
}

/**
 * Reads the state that a checkpoint holds.
 * @param shapes of the run's method
 * @throws DamagedFile if it is not as it was written; UserError if it is missing, no checkpoint, or of another model
 */
export async function loadCheckpoint(path: string, model: RecordedModel, shapes: StateShapes): Promise<Checkpoint> {
  const file = await readSafetensors(path);
  requireOwnFormat(path, file);
  const said = saidSchema.safeParse(file.metadata);
  if (!said.success) throw new DamagedFile(`${path} is damaged: it does not say of which step and model it is`);
  // Before shapes: the number of heads, for one, shows in no shape.
  if (!isSame(said.data.model, model)) throw otherModel(path, `its model is ${file.metadata.model}`);
  const read = (prefix: string, group: ParameterShapes) => readGroup(path, file, prefix, group);
  const readNetworks = (prefix: string, networks: StateShapes['networks']) =>
    mapValues(networks, (group, network) => read(`${prefix}${network}.`, group));
  const state = {
    step: said.data.step,
    networks: readNetworks('', shapes.networks),
    slots: mapValues(shapes.slots, (networks, slot) => readNetworks(`optimizer.${slot}.`, networks)),
    own: read('state.', shapes.own),
  };
  return { state, memory: said.data.memory };
}

function groupsOf({ networks, slots, own }: TrainState): [prefix: string, tensors: Tensors][] {
  return [
    ...Object.entries(networks).map(([network, tensors]): [string, Tensors] => [`${network}.`, tensors]),
    ...Object.entries(slots).flatMap(([slot, all]) =>
      Object.entries(all).map(([network, tensors]): [string, Tensors] => [`optimizer.${slot}.${network}.`, tensors]),
    ),
    ['state.', own],
  ];
}

function readGroup(path: string, file: TensorFile, prefix: string, shapes: ParameterShapes): Tensors {
  return mapValues(shapes, (shape, name): Tensor => {
    const stored = file.tensors.get(prefix + name);
    if (!(stored?.data instanceof Float32Array) || stored.shape.join() !== shape.join()) {
      const received = stored ? `[${stored.shape}]` : 'not there';
      throw otherModel(path, `the tensor ${prefix}${name} is ${received} instead of [${shape}]`);
    }
    return tf.tensor(stored.data, [...shape]);
  });
}

/** Whether two values are the same as JSON has them, whatever the order of names. */
function isSame(recorded: unknown, expected: unknown): boolean {
  if (typeof recorded !== 'object' || typeof expected !== 'object' || !recorded || !expected)
    return recorded === expected;
  const [a, b] = [Object.entries(recorded), new Map(Object.entries(expected))];
  return a.length === b.size && a.every(([name, value]) => b.has(name) && isSame(value, b.get(name)));
}

function otherModel(path: string, difference: string): UserError {
  return new UserError(`${path} is of another model: ${difference}`, {
    expected: 'a checkpoint of the model that the configuration describes',
    remedy: 'use the configuration that the checkpoint was trained with',
  });
}
