import { type Tensor, tf } from '../tf.js';
import type { OnnxBackend } from './backend.js';
import { type Shape, type Value, type ValueData, Value as ValueOf, type ValueType } from './graph.js';
import { dataOf, feedsOf, type Program, type ProgramCall, type ProgramInput, type Source } from './program.js';
import { analyse, type Structure } from './structure.js';

/** Programs that are kept for one function; the oldest goes first. Each takes a fifth of a kilobyte for every input. */
const MOST_PROGRAMS = 128;

/**
 * A function of tensors that is traced once for each combination of shapes and then replayed with new data, so that a
 * call costs no more than its computation. Programs whose structure is the same share one session.
 *
 * The function may use its arguments and tensors that never change; whatever else it computes from numbers is fixed when
 * it is traced. Arguments are nested lists and objects of tensors and plain values; plain values are part of what is
 * compared, so that another number means another trace.
 */
export function replayed<Inputs extends unknown[], Result>(
  backend: OnnxBackend,
  fn: (...inputs: Inputs) => Result,
): (...inputs: Inputs) => Promise<Result> {
  const { sessions } = backend;
  const traced = new Traced(backend, fn, (structure) => backend.inTurn(() => sessions.compile(structure)));
  return async (...inputs) => {
    const call = await traced.call(inputs);
    const outputs = await backend.inTurn(() =>
      sessions.run(call.program.ready, feedsOf(call.program.inputs, call.data)),
    );
    return resultOf(backend, call, outputs) as Result;
  };
}

/** The programs of a function. */
export class Traced<Inputs extends unknown[], Result, Ready> {
  readonly #programs = new Map<string, Program<Ready>>();

  /**
   * @param prepare makes a graph ready for being run
   * @param forget frees what was prepared
   */
  constructor(
    private readonly backend: OnnxBackend,
    private readonly fn: (...inputs: Inputs) => Result,
    private readonly prepare: (structure: Structure, inputs: readonly ProgramInput[]) => Promise<Ready>,
    private readonly forget: (ready: Ready) => void = () => {},
  ) {}

  /** What computes the function of these inputs: an earlier program, or a new one, with the inputs' data. */
  async call(inputs: Inputs): Promise<ProgramCall<Ready>> {
    const { backend } = this;
    const given: Tensor[] = [];
    const key = JSON.stringify(inputs, (_, part: unknown) => {
      if (!(part instanceof tf.Tensor)) return part;
      given.push(part);
      return `${part.dtype}[${part.shape}]`;
    });
    await backend.computeAwaited();
    const data = await Promise.all(given.map(async (tensor) => (await backend.read(tensor.dataId)) as ValueData));
    let program = this.#programs.get(key);
    if (!program) {
      program = await trace(backend, this.fn, this.prepare, inputs, given);
      this.#programs.set(key, program);
      if (this.#programs.size > MOST_PROGRAMS) this.#drop(this.#programs.keys().next().value as string);
    }
    return { program, data };
  }

  #drop(key: string): void {
    this.forget((this.#programs.get(key) as Program<Ready>).ready);
    this.#programs.delete(key);
  }
}

/** The function's result, from the data of the graph's outputs. */
export function resultOf(
  backend: OnnxBackend,
  { program, data: given }: ProgramCall<unknown>,
  outputs: readonly ValueData[],
): unknown {
  // Tensors of one output share it; what was given or never changes is copied, because results may be changed in place.
  const values = outputs.map((data, at) => {
    const { shape, type } = program.outputs[at] as { shape: Shape; type: ValueType };
    return new ValueOf(shape, type, { data });
  });
  const tensors = program.results.map(({ shape, type, from }) => {
    const value =
      'output' in from
        ? (values[from.output] as Value)
        : new ValueOf(shape, type, { data: dataOf(from, given).slice() });
    return tensorOf(backend, value, shape);
  });
  return program.assemble(tensors);
}

/** Runs the function on stand-ins for its tensors, and keeps the graph that it records. */
async function trace<Inputs extends unknown[], Result, Ready>(
  backend: OnnxBackend,
  fn: (...inputs: Inputs) => Result,
  prepare: (structure: Structure, inputs: readonly ProgramInput[]) => Promise<Ready>,
  inputs: Inputs,
  given: readonly Tensor[],
): Promise<Program<Ready>> {
  const standIns = new Map<Value, number>();
  const scope = tf.engine();
  scope.startScope('trace');
  try {
    // The same tensor given twice has two stand-ins, because another call may give two tensors.
    const stood = given.map((tensor, at) => {
      const data = backend.recorded(tensor).known as ValueData;
      const value = new ValueOf(tensor.shape, tensor.dtype as ValueType, { data });
      standIns.set(value, at);
      return tensorOf(backend, value, tensor.shape);
    });
    let next = 0;
    const result = fn(...(mapTensors(inputs, () => stood[next++] as Tensor) as Inputs));
    const tensors: Tensor[] = [];
    const skeleton = mapTensors(result, (tensor) => {
      tensors.push(tensor);
      return new Place(tensors.length - 1);
    });
    const values = tensors.map((tensor) => backend.recorded(tensor));
    const structure = analyse([...new Set(values.filter((value) => value.node))]);
    const sourceOf = (value: Value): Source => {
      const root = value.source ?? value;
      const argument = standIns.get(root);
      return argument === undefined ? { data: root.known as ValueData } : { argument };
    };
    const programInputs = structure.inputs.map((value) => ({
      name: structure.names.get(value) as string,
      type: value.type,
      shape: value.shape,
      source: sourceOf(value),
    }));
    return {
      ready: await prepare(structure, programInputs),
      inputs: programInputs,
      outputs: structure.outputs.map(({ shape, type }) => ({ shape, type })),
      results: tensors.map((tensor, at) => {
        const value = values[at] as Value;
        const from = value.node ? { output: structure.outputs.indexOf(value) } : sourceOf(value);
        return { shape: tensor.shape, type: value.type, from };
      }),
      assemble: (made) => mapPlaces(skeleton, made),
    };
  } finally {
    scope.endScope();
  }
}

/** Stands for a tensor in a result that is to be assembled. */
class Place {
  constructor(readonly index: number) {}
}

function tensorOf(backend: OnnxBackend, value: Value, shape: Shape): Tensor {
  return tf.engine().makeTensorFromTensorInfo(backend.hold(value, shape));
}

/** The tensors of nested lists and objects, in the order in which a call takes them. */
export function tensorsIn(part: unknown): Tensor[] {
  const tensors: Tensor[] = [];
  mapTensors(part, (tensor) => tensors.push(tensor));
  return tensors;
}

/** A copy of nested lists and objects in which every tensor is replaced. */
function mapTensors(part: unknown, replace: (tensor: Tensor) => unknown): unknown {
  if (part instanceof tf.Tensor) return replace(part);
  if (Array.isArray(part)) return part.map((item) => mapTensors(item, replace));
  if (part === null || typeof part !== 'object') return part;
  return Object.fromEntries(Object.entries(part).map(([name, item]) => [name, mapTensors(item, replace)]));
}

function mapPlaces(part: unknown, tensors: readonly Tensor[]): unknown {
  if (part instanceof Place) return tensors[part.index];
  if (Array.isArray(part)) return part.map((item) => mapPlaces(item, tensors));
  if (part === null || typeof part !== 'object') return part;
  return Object.fromEntries(Object.entries(part).map(([name, item]) => [name, mapPlaces(item, tensors)]));
}
