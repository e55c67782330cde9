import { createRequire } from 'node:module';
import type { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-common';
import { reasonOf } from '../../base/errors.js';
import { commandName } from '../../base/program.js';
import type { DeviceName } from '../contract.js';
import { hasRuntime, RUNTIME_FOLDER, RUNTIME_PLATFORMS, RUNTIME_VERSION, THIS_PLATFORM } from '../install/place.js';
import { record, type Shape, sizeOf, Value, type ValueData, type ValueType } from './graph.js';
import { ArrayPool } from './pool.js';
import { analyse, modelOf, type Structure } from './structure.js';

const require = createRequire(import.meta.url);

/** Where an input of a graph comes from: an argument of the call, or data that never change. */
export type Source = { argument: number } | { data: ValueData };

export interface GraphInput {
  name: string;
  type: ValueType;
  shape: Shape;
  source: Source;
}

/** What a graph gives. */
export type GraphOutput = { shape: Shape; type: ValueType };

/** The data of an input, where `given` are those of the arguments. */
export function dataOf(source: Source, given: readonly ValueData[]): ValueData {
  return 'data' in source ? source.data : given[source.argument];
}

/** The inputs of a structure, each with where it comes from. */
export function inputsOf({ inputs, names }: Structure, sourceOf: (value: Value, index: number) => Source) {
  return inputs.map((value, index) => ({
    name: names.get(value) as string,
    type: value.type,
    shape: value.shape,
    source: sourceOf(value, index),
  }));
}

/** Compiles graphs, one session for each structure, and runs them. */
export class Sessions {
  readonly #compiled = new Map<string, InferenceSession>();
  /** Inputs that never change, as ONNX Runtime takes them: most of a step's inputs are shapes. */
  readonly #constants = new WeakMap<GraphInput, OrtTensor>();
  readonly #runtime = loadRuntime();
  /** Buffers of outputs whose shapes are known before the run. */
  readonly pool = new ArrayPool();

  constructor(
    private readonly threads: number,
    private readonly device: DeviceName = 'cpu',
  ) {}

  /**
   * Builds and runs a session of one operator.
   * @throws Error if there is no device for it; its message is the reason, in one line
   */
  async probe(): Promise<void> {
    const input = new Value([1], 'float32', { data: Float32Array.of(1) });
    const structure = analyse([record('Neg', [input], [1])]);
    try {
      const inputs = inputsOf(structure, () => ({ argument: 0 }));
      await this.run(await this.compile(structure), inputs, [input.data as Float32Array]);
    } catch (error) {
      const [, reason = reasonOf(error)] = /Failed to get a WebGPU adapter: (.*)/.exec(String(error)) ?? [];
      throw new Error(reason, { cause: error });
    }
  }

  /** The session of a structure: an earlier one, or a new one. */
  async compile(structure: Structure): Promise<InferenceSession> {
    const session = this.#compiled.get(structure.key) ?? (await this.build(modelOf(structure)));
    this.#compiled.set(structure.key, session);
    return session;
  }

  /** Frees all sessions, and the buffers that no result uses. */
  async free(): Promise<void> {
    const sessions = [...this.#compiled.values()];
    this.#compiled.clear();
    this.pool.clear();
    for (const session of sessions) await session.release();
  }

  /** Compiles a model, for one operator after the other. */
  build(model: Uint8Array): Promise<InferenceSession> {
    return this.#runtime.InferenceSession.create(model, {
      executionProviders: [this.device], // operators that a graphics card has no kernel for run on the processor
      intraOpNumThreads: this.threads,
      executionMode: 'sequential',
      graphOptimizationLevel: 'disabled', // optimising takes a fifth of a second for a large step and makes it no faster
      enableCpuMemArena: true, // without it a step takes half as long again
      enableMemPattern: false, // takes much memory and saves no time
      extra: { session: { force_spinning_stop: '1' } }, // spinning threads would take the cores from what comes between runs
      logSeverityLevel: 3,
    });
  }

  /**
   * Runs a compiled graph; gives the data of its outputs, in their order.
   * @param given data of its arguments
   * @param outputs where they are known: floats are written into buffers of the pool, which saves a copy and garbage
   */
  async run(
    session: InferenceSession,
    inputs: readonly GraphInput[],
    given: readonly ValueData[],
    outputs: readonly GraphOutput[] = [],
  ) {
    const fed: Record<string, OrtTensor> = {};
    for (const input of inputs) fed[input.name] = this.#constants.get(input) ?? this.#tensorOf(input, given);
    const fetched: Record<string, OrtTensor | null> = {};
    for (const [at, name] of session.outputNames.entries()) fetched[name] = this.#memoryFor(outputs[at]);
    const results = await session.run(fed, fetched);
    return session.outputNames.map((name) => results[name].data as unknown as ValueData);
  }

  #memoryFor(output: GraphOutput | undefined): OrtTensor | null {
    if (output?.type !== 'float32') return null;
    const { shape } = output;
    return new this.#runtime.Tensor('float32', this.pool.take(sizeOf(shape)), shape);
  }

  #tensorOf(input: GraphInput, given: readonly ValueData[]): OrtTensor {
    const { type, shape, source } = input;
    const tensor = new this.#runtime.Tensor(type, dataOf(source, given) as never, shape);
    if ('data' in source) this.#constants.set(input, tensor);
    return tensor;
  }
}

/**
 * Loads ONNX Runtime, with its telemetry off. The library reads the environment once, when the first thread loads it.
 * @throws Error if it is not there or does not load; its message is the reason
 */
function loadRuntime(): typeof import('onnxruntime-common') {
  process.env.ORT_DISABLE_TELEMETRY = '1';
  if (!RUNTIME_PLATFORMS.includes(THIS_PLATFORM)) throw new Error(`there is no ONNX Runtime for ${THIS_PLATFORM}`);
  if (!hasRuntime(THIS_PLATFORM)) {
    throw new Error(
      `ONNX Runtime for ${THIS_PLATFORM} is not installed; get it by: ${commandName()} engine install onnx`,
    );
  }
  try {
    return require(RUNTIME_FOLDER);
  } catch (error) {
    throw new Error(`ONNX Runtime ${RUNTIME_VERSION} does not load on ${THIS_PLATFORM}: ${reasonOf(error)}`, {
      cause: error,
    });
  }
}
