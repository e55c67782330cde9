import { createRequire } from 'node:module';
import type { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-common';
import { reasonOf } from '../../base/errors.js';
import { commandName } from '../../base/program.js';
import type { DeviceName } from '../contract.js';
import { hasRuntime, RUNTIME_FOLDER, RUNTIME_PLATFORMS, RUNTIME_VERSION, THIS_PLATFORM } from '../install/place.js';
import { record, type Shape, Value, type ValueData, type ValueType } from './graph.js';
import { analyse, modelOf, type Structure } from './structure.js';

const require = createRequire(import.meta.url);

/** ONNX Runtime as it is loaded. */
type Runtime = typeof import('onnxruntime-common');

/** What goes into a run under a name. */
interface Feed {
  name: string;
  type: ValueType;
  shape: Shape;
  data: ValueData;
}

/** Where an input of a replayed graph comes from: a tensor of the call, or data that never change. */
export type Source = { argument: number } | { data: ValueData };

/** An input of a replayed graph. */
export interface ProgramInput extends Omit<Feed, 'data'> {
  source: Source;
}

/** What goes into a graph, where `data` are those of the arguments. */
export function feedsOf(inputs: readonly ProgramInput[], data: readonly ValueData[]): Feed[] {
  return inputs.map(({ source, ...input }) => ({ ...input, data: dataOf(source, data) }));
}

/** The data of an input, where `given` are those of the arguments. */
export function dataOf(source: Source, given: readonly ValueData[]): ValueData {
  return 'data' in source ? source.data : (given[source.argument] as ValueData);
}

/** Compiles graphs, one session for each structure, and runs them. */
export class Sessions {
  readonly #compiled = new Map<string, InferenceSession>();
  readonly #runtime = loadRuntime();

  constructor(
    private readonly threads: number,
    private readonly device: DeviceName = 'cpu',
  ) {}

  /** Sessions that compute on another number of threads. */
  beside(threads: number): Sessions {
    return new Sessions(threads, this.device);
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
  async compile(structure: Structure): Promise<InferenceSession> {
    const session = this.#compiled.get(structure.key) ?? (await this.build(modelOf(structure)));
    this.#compiled.set(structure.key, session);
    return session;
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
      logSeverityLevel: 3,
    });
  }

  /** Runs a compiled graph; gives the data of its outputs, in their order. */
  async run(session: InferenceSession, feeds: readonly Feed[]): Promise<ValueData[]> {
    const { Tensor } = this.#runtime;
    const fed: Record<string, OrtTensor> = {};
    for (const { name, type, shape, data } of feeds) fed[name] = new Tensor(type, data as never, shape);
    const results = await session.run(fed);
    return session.outputNames.map((name) => results[name].data as unknown as ValueData);
  }
}

/**
 * Loads ONNX Runtime, with its telemetry off: otherwise it writes files into the user's home and sends what it is used for
 * to its maker. The library reads the environment once, when the first thread loads it.
 * @throws Error if it is not there or does not load; its message is the reason
 */
function loadRuntime(): Runtime {
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
