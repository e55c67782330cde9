import type { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';
import { encodeModel } from './encode.js';
import type { Shape, Value, ValueData, ValueType } from './graph.js';
import type { Structure } from './structure.js';

type Runtime = typeof import('onnxruntime-node');

/** What goes into a run under a name. */
export interface Feed {
  name: string;
  type: ValueType;
  shape: Shape;
  data: ValueData;
}

/** A structure that ONNX Runtime has compiled. */
export interface CompiledGraph {
  readonly session: InferenceSession;
  readonly outputNames: readonly string[];
}

/** Compiles graphs, one session for each structure, and runs them. */
export class Sessions {
  readonly #compiled = new Map<string, CompiledGraph>();
  /** Sessions built so far. */
  built = 0;

  constructor(
    private readonly runtime: Runtime,
    private readonly threads: number,
  ) {}

  /** The session of a structure: an earlier one, or a new one. */
  async compile(structure: Structure): Promise<CompiledGraph> {
    const known = this.#compiled.get(structure.key);
    if (known) return known;
    const { nodes, inputs, constants, outputs, names } = structure;
    const nameOf = (value: Value | null) => (value ? (names.get(value) as string) : '');
    const model = encodeModel({
      nodes: nodes.map((node) => ({ node, inputs: node.inputs.map(nameOf), outputs: node.outputs.map(nameOf) })),
      constants: constants.map((value) => {
        const { data, dims } = value.constant as NonNullable<Value['constant']>;
        return { name: nameOf(value), type: value.type, dims, data };
      }),
      inputs: inputs.map((value) => ({ name: nameOf(value), type: value.type, rank: value.shape.length })),
      outputs: outputs.map((value) => ({ name: nameOf(value), type: value.type })),
    });
    const session = await this.runtime.InferenceSession.create(model, {
      intraOpNumThreads: this.threads,
      executionMode: 'sequential',
      graphOptimizationLevel: 'disabled', // optimising takes a fifth of a second for a large step and makes it no faster
      enableCpuMemArena: true, // without it a step takes half as long again
      enableMemPattern: false, // takes much memory and saves no time
      logSeverityLevel: 3,
    });
    this.built++;
    const compiled = { session, outputNames: outputs.map(nameOf) };
    this.#compiled.set(structure.key, compiled);
    return compiled;
  }

  /** Runs a compiled graph; gives the data of its outputs, in their order. */
  async run({ session, outputNames }: CompiledGraph, feeds: readonly Feed[]): Promise<ValueData[]> {
    const { Tensor } = this.runtime;
    const fed: Record<string, OrtTensor> = {};
    for (const { name, type, shape, data } of feeds) fed[name] = new Tensor(type, data as never, shape);
    const results = await session.run(fed, [...outputNames]);
    return outputNames.map((name) => (results[name] as OrtTensor).data as unknown as ValueData);
  }
}
