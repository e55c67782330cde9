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
  /** Most bytes that its tensors can take, or null where only the machine's memory limits them. */
  readonly memoryBytes: number | null;
  /**
   * Prepares a function of tensors for being called many times with tensors of the same shapes or others. Engines that
   * trace a function once and replay it do so here; the rest return the function itself.
   */
  compile<Inputs extends unknown[], Result>(fn: (...inputs: Inputs) => Result): (...inputs: Inputs) => Result;
}

/** Every engine, fastest first: the order in which `auto` looks for one. */
export const ENGINE_NAMES = ['tensorflow-gpu', 'tensorflow', 'wasm', 'cpu'] as const;
export type EngineName = (typeof ENGINE_NAMES)[number];
export type EngineChoice = EngineName | 'auto';

/** How one engine is found and started. `start` throws where the engine is not there, saying why. */
export interface EngineStarter {
  readonly name: EngineName;
  start(): Promise<Engine>;
}
