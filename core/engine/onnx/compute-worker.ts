import { Worker } from 'node:worker_threads';
import type { ValueData } from './graph.js';
import type { ArrayLocation, ProgramInput, WorkerAnswer, WorkerMessage } from './program.js';
import { modelOf } from './sessions.js';
import type { Structure } from './structure.js';

/** Bytes between which arrays begin in a worker's memory. */
const ALIGNMENT = 64;

/** For new objects in the thread, in MiB. With V8's own choice the process grows by a tenth in some hundred steps. */
const YOUNG_MIB = 2;

/** Where arrays lie in a worker's memory, in the order given, and how long it has to be, in bytes. */
export function layOut(lengths: readonly number[]): { arrays: ArrayLocation[]; bytes: number } {
  let bytes = 0;
  const arrays = lengths.map((length) => {
    const offset = bytes;
    bytes += ALIGNMENT * Math.ceil((Float32Array.BYTES_PER_ELEMENT * length) / ALIGNMENT);
    return { offset, length };
  });
  return { arrays, bytes };
}

/** A second thread that computes beside the main one; see `parts.ts`. */
export class ComputeWorker {
  #thread: Worker | null = null;
  #failure: Error | null = null;
  #memory = new ArrayBuffer(0);
  #programs = 0;
  readonly #graphs = new Map<string, number>();
  #waiting: { resolve(outputs: ValueData[]): void; reject(error: Error): void } | null = null;

  /** @param threads on which it computes */
  constructor(private readonly threads: number) {}

  /** Gives it a program, whose graph it compiles at once where it is a new one; returns the program's number. */
  addProgram(structure: Structure, inputs: readonly ProgramInput[]): number {
    let graph = this.#graphs.get(structure.key);
    if (graph === undefined) {
      graph = this.#graphs.size;
      this.#graphs.set(structure.key, graph);
      this.#post({ kind: 'graph', graph, model: tight(modelOf(structure)), outputNames: structure.outputNames });
    }
    const sent = inputs.map((input) =>
      'data' in input.source ? { ...input, source: { data: tight(input.source.data) } } : input,
    );
    this.#post({ kind: 'program', program: ++this.#programs, graph, inputs: sent });
    return this.#programs;
  }

  forget(program: number): void {
    this.#post({ kind: 'forget', program });
  }

  /**
   * Runs a program; there is one run at a time.
   * @param data of its arguments
   * @param sharedCount how many of the first arguments, of floats, are copied into the worker's memory; of the others,
   *   copies are moved
   */
  async run(program: number, data: readonly ValueData[], sharedCount: number): Promise<ValueData[]> {
    if (this.#failure) throw this.#failure;
    const shared = data.slice(0, sharedCount) as Float32Array[];
    const { arrays, bytes } = layOut(shared.map(({ length }) => length));
    const memory = this.#memory.byteLength === bytes ? this.#memory : new ArrayBuffer(bytes);
    for (const [at, { offset, length }] of arrays.entries()) {
      new Float32Array(memory, offset, length).set(shared[at] as Float32Array);
    }
    const own = data.slice(sharedCount).map((array) => array.slice());
    this.#started().ref();
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      const moved = [memory, ...own.map(({ buffer }) => buffer as ArrayBuffer)];
      this.#post({ kind: 'run', program, memory, arrays, own }, moved);
    });
  }

  #post(message: WorkerMessage, moved: ArrayBuffer[] = []): void {
    this.#started().postMessage(message, moved);
  }

  #started(): Worker {
    this.#thread ??= this.#start();
    return this.#thread;
  }

  #start(): Worker {
    const thread = new Worker(new URL('./worker-thread.js', import.meta.url), {
      workerData: { threads: this.threads },
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MIB },
    });
    thread.unref(); // an idle thread does not keep the program alive
    thread.on('message', (answer: WorkerAnswer) => {
      this.#memory = answer.memory;
      const waiting = this.#waiting;
      this.#waiting = null;
      thread.unref();
      if ('outputs' in answer) waiting?.resolve(answer.outputs);
      else waiting?.reject(new Error(answer.reason));
    });
    thread.on('error', (error) => {
      this.#failure = new Error('the second thread that computes has failed', { cause: error });
      this.#waiting?.reject(this.#failure);
      this.#waiting = null;
    });
    return thread;
  }
}

/** The same numbers with a buffer of their own: what is sent to a thread takes all of its buffer along. */
function tight<Data extends ValueData>(data: Data): Data {
  return data.byteLength === data.buffer.byteLength ? data : (data.slice() as Data);
}
