import type { Tensor } from './tf.js';

/**
 * The contract between the program and what computes.
 *
 * Model code is written in TensorFlow.js operations (`tf`) and the functions in `functions.ts`; it never asks which
 * engine runs them. An engine is a TensorFlow.js backend that has been started. Exactly one is active in a process;
 * `startEngine` makes it so.
 *
 * What callers promise: no synchronous reads (`dataSync`, `arraySync`) inside a training step, because an engine may
 * collect operations and run them only when values are asked for. `await tensor.data()` is the one way out.
 * Tensors belong to whoever made them; `tf.tidy` and `dispose` work as in TensorFlow.js.
 *
 * What is not promised: the same bits from different engines, or from the same engine with other threads.
 */
export interface Engine {
  readonly name: EngineName;
  /** Version of the package that computes. */
  readonly version: string;
  /** What it computes on, for people: 'CPU (WebAssembly, SIMD)', 'GPU (CUDA)'. */
  readonly device: string;
  /** Threads that compute at the same time. */
  readonly threads: number;
  readonly memory: EngineMemory;
  /**
   * Prepares a function of tensors for being called many times. Engines that trace a function once for each combination
   * of shapes, and replay it with new data, do so here; on the rest the function is called.
   *
   * Inputs are nested lists and objects of tensors and plain values. The function may use them and tensors that never
   * change; numbers that differ from call to call have to be tensors, or every call is traced anew. The results are the
   * caller's to dispose.
   */
  compile<Inputs extends unknown[], Result>(fn: (...inputs: Inputs) => Result): (...inputs: Inputs) => Promise<Result>;
  /** How many parts of a batch it computes at the same time. */
  readonly concurrency: number;
  /**
   * Prepares a function of what all parts of a batch share and of one part, as `compile` does. Networks are computed so: in
   * the precision that was asked for, while weights and results are float32.
   */
  compileParts<Shared, Part, Result>(fn: (shared: Shared, part: Part) => Result): CompiledParts<Shared, Part, Result>;
  /**
   * Where what an engine has compiled depends on the shapes that it has been given so far: the last bits of results then do as
   * well, and a run saves it, so that another process can go on with the same bits. Absent where they do not.
   */
  readonly history?: { /** JSON. */ save(): unknown; restore(saved: unknown): void };
  readonly updateParameter: UpdateParameter;
  /** The sum of two tensors of one shape, both of which are used up. */
  accumulate(sum: Tensor, addend: Tensor): Promise<Tensor>;
  /**
   * Frees the memory of what it has compiled: functions that were prepared so far are not called again. Absent where nothing
   * is kept.
   */
  free?(): Promise<void>;
}

/** A parameter, the moving averages of its gradient and of the gradient's square, and its own. */
export type ParameterSlot = { value: Tensor; first: Tensor; second: Tensor; target?: Tensor };

/** What a step's number t, learning rate η and weight decay λ come to. */
export interface UpdateRates {
  /** 1 - η λ; 1 for parameters that do not decay. */
  decayFactor: number;
  /** η / (1 - β₁ᵗ) */
  stepSize: number;
  /** √(1 - β₂ᵗ) */
  sqrtBiasCorrection2: number;
  /** μ of the moving average. */
  emaDecay: number;
}

/** What stays the same over a run. */
export type AdamSettings = { beta1: number; beta2: number; epsilon: number };

/**
 * One step of Adam with decoupled weight decay (Loshchilov and Hutter 2019, algorithm 2; PyTorch's AdamW), and of the
 * parameter's moving average θ̄ where there is one:
 *
 *   θ ← θ (1 - η λ);  m ← β₁ m + (1 - β₁) g;  v ← β₂ v + (1 - β₂) g²
 *   θ ← θ - η / (1 - β₁ᵗ) · m / (√v / √(1 - β₂ᵗ) + ε)
 *   θ̄ ← μ θ̄ + (1 - μ) θ
 *
 * `squares` is Σ θ² of the new values. The old tensors are disposed of, or have the new values: only those that are given back may be used. The gradient stays
 * the caller's.
 */
export type UpdateParameter = (
  slot: ParameterSlot,
  gradient: Tensor,
  rates: UpdateRates,
  adam: AdamSettings,
) => Promise<{ slot: ParameterSlot; squares: number }>;

/** How an engine deals with memory. */
export interface EngineMemory {
  /** Most bytes that its tensors can take, or null where only the machine's memory limits them. */
  readonly limit: number | null;
  /**
   * - `stepwise`: every intermediate result is a tensor that stays until its gradient is taken.
   * - `planned`: whole graphs are compiled, and only what gradients need stays.
   */
  readonly kind: 'stepwise' | 'planned';
  /** Whose memory holds its tensors: the machine's, or that of a graphics card. */
  readonly of: 'machine' | 'card';
  /**
   * What it takes where numbers of tokens vary from step to step: so many bytes more, and so many times the activations of
   * one step. Absent where they make no difference.
   */
  readonly varying?: { readonly bytes: number; readonly factor: number };
}

/**
 * A function that an engine has prepared for parts of a batch: their results in the parts' order, each computed when it
 * is asked for or with those before it. `concurrency` is the most that are computed at the same time; default: as many as the engine can.
 */
export type CompiledParts<Shared, Part, Result> = (
  shared: Shared,
  parts: readonly Part[],
  concurrency?: number,
) => AsyncGenerator<Result, void, void>;

/**
 * Every engine, in the order in which `auto` looks for one: fastest first, but for openvino in float32, which
 * takes twice the memory of onnx where masks vary.
 */
export const ENGINE_NAMES = ['tensorflow-gpu', 'onnx', 'openvino', 'tensorflow', 'wasm', 'cpu'] as const;
export type EngineName = (typeof ENGINE_NAMES)[number];
export type EngineChoice = EngineName | 'auto';

/** What the engine onnx can compute on. */
export const DEVICES = ['cpu', 'webgpu'] as const;
export type DeviceName = (typeof DEVICES)[number];

/** What networks can be computed in. */
export const PRECISIONS = ['float32', 'bfloat16'] as const;
export type Precision = (typeof PRECISIONS)[number];

export interface StartOptions {
  /** What it computes on; default 'cpu'. Only the engine onnx can choose. */
  device?: DeviceName;
  /** Threads that compute at the same time; engines that cannot choose pass it over. */
  threads?: number;
  /** What networks are computed in, see `compileParts`; default float32. Only the engine openvino can choose. */
  precision?: Precision;
}

/** `compileParts` for a function that is called with one part, which has all threads. */
export function compileWhole<Shared, Part, Result>(engine: Engine, fn: (shared: Shared, part: Part) => Result) {
  const compute = engine.compileParts(fn);
  return async (shared: Shared, part: Part): Promise<Result> => {
    for await (const result of compute(shared, [part])) return result;
    throw new Error('a part gave no result');
  };
}

/** `compileParts` by a function that is called for one part after the other. */
export function oneByOne<Shared, Part, Result>(
  compute: (shared: Shared, part: Part) => Result | Promise<Result>,
): CompiledParts<Shared, Part, Result> {
  return async function* (shared, parts) {
    for (const part of parts) yield await compute(shared, part);
  };
}
