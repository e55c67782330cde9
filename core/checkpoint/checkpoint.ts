import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { UserError } from '../base/errors.js';
import { mapValues } from '../base/map-values.js';
import { PROGRAM } from '../base/program.js';
import { tryJson } from '../base/text.js';
import { type Tensor, tf } from '../engine/tf.js';
import type { Method } from '../methods/method.js';
import type { StateShapes, TrainState } from '../train/state.js';
import { DamagedFile, readSafetensors, type StoredTensor, type TensorFile } from './safetensors.js';

/** The format of checkpoints. */
export const FORMAT = `${PROGRAM}-checkpoint-3`;

/** What a checkpoint says about its run, beside the tensors. */
export interface CheckpointFacts {
  epoch: number;
  /** What the run learns from, for people. */
  data: string;
  model: RecordedModel;
  /** What the run remembers from one observation to the next, as JSON. */
  memory: unknown;
  /** What the engine remembers of shapes, as JSON; undefined where that makes no difference. */
  history?: unknown;
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

export type Checkpoint = { state: TrainState } & Pick<CheckpointFacts, 'memory' | 'history'>;

/** What a checkpoint's metadata says of the run's position. */
const saidSchema = z.object({
  step: z.coerce.number().pipe(z.int().min(0)),
  model: z.string().transform(tryJson),
  memory: z.string().transform(tryJson).catch(null),
  history: z.string().transform(tryJson).optional(),
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
  const tensors = new Map<string, Tensor>();
  mapState(state, (tensor, name) => tensors.set(name, tensor));
  const copies = new Map<string, StoredTensor & { data: Float32Array }>();
  for (const [name, tensor] of tensors) {
    const numbers = (await tensor.data()) as Float32Array;
    const data = before?.get(name)?.data ?? new Float32Array(new SharedArrayBuffer(numbers.byteLength));
    data.set(numbers);
    copies.set(name, { shape: tensor.shape, data });
  }
  return copies;
}

/** A checkpoint's metadata. */
export function checkpointMetadata(step: number, facts: CheckpointFacts): Record<string, string> {
  const [model, memory] = [JSON.stringify(facts.model), JSON.stringify(facts.memory)];
  const history = facts.history !== undefined && { history: JSON.stringify(facts.history) };
  return {
    format: FORMAT,
    step: String(step),
    epoch: String(facts.epoch),
    data: facts.data,
    model,
    memory,
    ...history,
  };
}

/**
 * Reads the state that a checkpoint holds.
 * @param shapes of the run's method
 * @throws DamagedFile if it is not as it was written; UserError if it is missing, no checkpoint, or of another model
 */
export async function loadCheckpoint(path: string, model: RecordedModel, shapes: StateShapes): Promise<Checkpoint> {
  const file = await readSafetensors(path);
  if (file.metadata.format !== FORMAT) {
    throw new DamagedFile(`${path} is not a checkpoint of ${PROGRAM} pretrain`, {
      expected: `a safetensors file whose metadata has format ${FORMAT}`,
    });
  }
  requireChecksum(path, file);
  const said = saidSchema.safeParse(file.metadata);
  if (!said.success) throw new DamagedFile(`${path} is damaged: it does not say of which step and model it is`);
  // Before shapes: the number of heads, for one, shows in no shape.
  const expected: unknown = JSON.parse(JSON.stringify(model));
  if (!isDeepStrictEqual(said.data.model, expected)) throw otherModel(path, `its model is ${file.metadata.model}`);
  const tensors = mapState(shapes, (shape, name) => readTensor(path, file, name, shape));
  return { state: { step: said.data.step, ...tensors }, memory: said.data.memory, history: said.data.history };
}

/**
 * Refuses a checkpoint of this program that has lost its checksum, and with it the proof that it is whole.
 * @throws DamagedFile
 */
export function requireChecksum(path: string, { metadata, hasChecksum }: TensorFile): void {
  if (metadata.format !== FORMAT || hasChecksum) return;
  throw new DamagedFile(`${path} is damaged: it has no checksum`, { expected: 'a checkpoint as it was written' });
}

type Named<T> = Readonly<Record<string, T>>;
type Whole<T> = { networks: Named<Named<T>>; slots: Named<Named<Named<T>>>; own: Named<T> };

/** A state whose values are made of those of another, and of their names in a checkpoint. */
export function mapState<In, Out>(
  { networks, slots, own }: Whole<In>,
  make: (value: In, name: string) => Out,
): Whole<Out> {
  const mapGroup = (prefix: string, group: Named<In>) => mapValues(group, (value, name) => make(value, prefix + name));
  const mapNetworks = (prefix: string, all: Named<Named<In>>) =>
    mapValues(all, (group, network) => mapGroup(`${prefix}${network}.`, group));
  return {
    networks: mapNetworks('', networks),
    slots: mapValues(slots, (all, slot) => mapNetworks(`optimizer.${slot}.`, all)),
    own: mapGroup('state.', own),
  };
}

function readTensor(path: string, file: TensorFile, name: string, shape: readonly number[]): Tensor {
  const stored = file.tensors.get(name);
  if (!(stored?.data instanceof Float32Array) || stored.shape.join() !== shape.join()) {
    const received = stored ? `[${stored.shape}]` : 'not there';
    throw otherModel(path, `the tensor ${name} is ${received} instead of [${shape}]`);
  }
  return tf.tensor(stored.data, [...shape]);
}

function otherModel(path: string, difference: string): UserError {
  return new UserError(`${path} is of another model: ${difference}`, {
    expected: 'a checkpoint of the model that the configuration describes',
    remedy: 'use the configuration that the checkpoint was trained with',
  });
}
