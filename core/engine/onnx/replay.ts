import { type Tensor, tf } from '../tf.js';
import type { OnnxBackend } from './backend.js';
import { type Shape, Value, type ValueData, type ValueType } from './graph.js';
import type { ArrayPool } from './pool.js';
import { dataOf, type GraphInput, type GraphOutput, inputsOf, type Source } from './sessions.js';
import { analyse, type Structure } from './structure.js';

/** Programs that are kept for one function; the oldest goes first. Each takes a fifth of a kilobyte for every input. */
const MAX_PROGRAMS = 128;

/** A function's graph for tensors of certain shapes. */
interface Program<Ready> {
  /** What has been prepared for running the graph. */
  ready: Ready;
  inputs: readonly GraphInput[];
  outputs: readonly GraphOutput[];
  /** What each tensor of the result is: an output of the graph, an argument, or data that never change. */
  results: { shape: Shape; type: ValueType; from: { output: number } | Source }[];
  /** Builds the result from its tensors. */
  assemble(tensors: readonly Tensor[]): unknown;
}

/**
 * A function of tensors that is traced once for each combination of shapes and then replayed with new data, so that a
 * call costs no more than its computation. Programs whose structure is the same share one session. What the function may
 * use is told at `Engine.compile`; plain values among its arguments are compared as shapes are.
 */
export function replayed<Inputs extends unknown[], Result>(
  backend: OnnxBackend,
  fn: (...inputs: Inputs) => Result,
): (...inputs: Inputs) => Promise<Result> {
  const { sessions } = backend;
  const traced = new TracedFunction(backend, fn, (structure) => backend.inTurn(() => sessions.compile(structure)));
  return async (...inputs) => {
    const call = await traced.call(inputs);
    const { ready, inputs: graphInputs, outputs } = call.program;
    const results = await backend.inTurn(() => sessions.run(ready, graphInputs, call.data, outputs));
    return resultOf(backend, call, results, sessions.pool) as Result;
  };
}

/** The programs of a function, by its inputs' shapes. */
export class TracedFunction<Inputs extends unknown[], Result, Ready> {
  readonly #programs = new Map<string, Program<Ready>>();

  /**
   * @param prepare makes a graph ready for being run
   * @param forget frees what was prepared
   */
  constructor(
    private readonly backend: OnnxBackend,
    private readonly fn: (...inputs: Inputs) => Result,
    private readonly prepare: (structure: Structure, inputs: readonly GraphInput[]) => Promise<Ready>,
    private readonly forget: (ready: Ready) => void = () => {},
  ) {}

  /** What computes the function of these inputs: an earlier program, or a new one, with the data of the inputs' tensors. */
  async call(inputs: Inputs) {
    const { backend } = this;
    const given: Tensor[] = [];
    const key = JSON.stringify(inputs, (_, part: unknown) => {
      if (!(part instanceof tf.Tensor)) return part;
      given.push(part);
      return `${part.dtype}[${part.shape}]`;
    });
    await backend.computeAwaited();
    const data = given.map((tensor) => backend.recorded(tensor).data as ValueData);
    let program = this.#programs.get(key);
    if (!program) {
      program = await this.#trace(inputs, given);
      this.#programs.set(key, program);
      const [oldest] = this.#programs;
      if (oldest && this.#programs.size > MAX_PROGRAMS) {
        this.forget(oldest[1].ready);
        this.#programs.delete(oldest[0]);
      }
    }
    return { program, data };
  }

  /** Runs the function on stand-ins for its tensors, and keeps the graph that it records. */
  async #trace(inputs: Inputs, given: readonly Tensor[]): Promise<Program<Ready>> {
    const { backend } = this;
    const standIns = new Map<Value, number>();
    const scope = tf.engine();
    scope.startScope('trace');
    try {
      // The same tensor given twice has two stand-ins, because another call may give two tensors.
      const stood = given.map((tensor, at) => {
        const data = backend.recorded(tensor).data as ValueData;
        const value = new Value(tensor.shape, tensor.dtype as ValueType, { data });
        standIns.set(value, at);
        return backend.makeTensor(value);
      });
      const result = this.fn(...(replaceTensors(inputs, stood) as Inputs));
      const tensors = tensorsIn(result);
      const values = tensors.map((tensor) => backend.recorded(tensor));
      const structure = analyse([...new Set(values.filter((value) => value.node))]);
      const sourceOf = (value: Value): Source => {
        const argument = standIns.get(value.source ?? value);
        return argument === undefined ? { data: value.data as ValueData } : { argument };
      };
      const graphInputs = inputsOf(structure, sourceOf);
      return {
        ready: await this.prepare(structure, graphInputs),
        inputs: graphInputs,
        outputs: structure.outputs.map(({ shape, type }) => ({ shape, type })),
        results: tensors.map((tensor, at) => {
          const value = values[at];
          const from = value.node ? { output: structure.outputs.indexOf(value) } : sourceOf(value);
          return { shape: tensor.shape, type: value.type, from };
        }),
        assemble: (made) => replaceTensors(result, made),
      };
    } finally {
      scope.endScope();
    }
  }
}

/** The function's result, from the data of the graph's outputs. @param pool that these come from */
export function resultOf(
  backend: OnnxBackend,
  { program, data: given }: { program: Program<unknown>; data: readonly ValueData[] },
  outputs: readonly ValueData[],
  pool: ArrayPool | null = null,
): unknown {
  // Tensors of one output share it; what was given or never changes is copied, because results may be changed in place.
  const values = program.outputs.map(({ shape, type }, at) => {
    const value = new Value(shape, type, { data: outputs[at] });
    value.pool = pool;
    return value;
  });
  const tensors = program.results.map(({ shape, type, from }) => {
    const value =
      'output' in from ? values[from.output] : new Value(shape, type, { data: dataOf(from, given).slice() });
    return backend.makeTensor(value as Value, shape);
  });
  return program.assemble(tensors);
}

/** The tensors of nested lists and objects, in the order in which a call takes them. */
export function tensorsIn(part: unknown): Tensor[] {
  if (part instanceof tf.Tensor) return [part];
  return part === null || typeof part !== 'object' ? [] : Object.values(part).flatMap(tensorsIn);
}

/** A copy of nested lists and objects with other tensors, in that order. */
function replaceTensors(part: unknown, tensors: readonly Tensor[], next = { index: 0 }): unknown {
  if (part instanceof tf.Tensor) return tensors[next.index++];
  if (Array.isArray(part)) return part.map((item) => replaceTensors(item, tensors, next));
  if (part === null || typeof part !== 'object') return part;
  return Object.fromEntries(Object.entries(part).map(([name, item]) => [name, replaceTensors(item, tensors, next)]));
}
