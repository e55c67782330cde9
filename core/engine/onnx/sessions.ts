import type { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-common';
import { reasonOf } from '../../base/errors.js';
import type { DeviceName } from '../contract.js';
import { encodeModel } from './encode.js';
import { record, type Shape, Value, type ValueData, type ValueType } from './graph.js';
import type { Runtime } from './runtime.js';
import { analyse, type Structure } from './structure.js';

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

  constructor(
    private readonly runtime: Runtime,
    private readonly threads: number,
    private readonly device: DeviceName = 'cpu',
    private readonly count = { built: 0 },
  ) {}

  /** Sessions built so far, here and in those that are beside it. */
  get built(): number {
    return this.count.built;
  }

  /** Sessions that compute on another number of threads. */
  beside(threads: number): Sessions {
    return new Sessions(this.runtime, threads, this.device, this.count);
  }

  /**
   * Builds and runs a session of one operator.
   * @throws Error if there is no device for it; its message is the reason, in one line
   */
  async probe(): Promise<void> {
    const input = new Value([1], 'float32', { data: Float32Array.of(1) });
    const structure = analyse([record('Neg', [input], [1])]);
    const feeds = [{ name: 'v0', type: input.type, shape: input.shape, data: input.data as Float32Array }];
    try {
      await this.run(await this.compile(structure), feeds);
    } catch (error) {
      const [, reason = reasonOf(error)] = /Failed to get a WebGPU adapter: (.*)/.exec(String(error)) ?? [];
      throw new Error(reason, { cause: error });
    }
  }

  /** The session of a structure: an earlier one, or a new one. */
  async compile(structure: Structure): Promise<CompiledGraph> {
    const known = this.#compiled.get(structure.key);
    if (known) return known;
    const compiled = await this.build(modelOf(structure), structure.outputNames);
    this.#compiled.set(structure.key, compiled);
    return compiled;
  }

  /** Compiles a model, for one operator after the other. */
  async build(model: Uint8Array, outputNames: readonly string[]): Promise<CompiledGraph> {
    const session = await this.runtime.InferenceSession.create(model, {
      executionProviders: [this.device], // operators that a graphics card has no kernel for run on the processor
      intraOpNumThreads: this.threads,
      executionMode: 'sequential',
      graphOptimizationLevel: 'disabled', // optimising takes a fifth of a second for a large step and makes it no faster
      enableCpuMemArena: true, // without it a step takes half as long again
      enableMemPattern: false, // takes much memory and saves no time
      logSeverityLevel: 3,
    });
    this.count.built++;
    return { session, outputNames };
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

const models = new WeakMap<Structure, Uint8Array>();

/** A structure as an ONNX model, which is written once. */
export function modelOf(structure: Structure): Uint8Array {
  const model = models.get(structure) ?? encodeModel(structure);
  models.set(structure, model);
  return model;
}
