import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { ValueData } from './graph.js';
import type { GraphInput } from './sessions.js';
import { modelOf, type Structure } from './structure.js';

/** Bytes between which arrays begin in a worker's memory. */
const ALIGNMENT = 64;

/** Young generation of the thread, in MiB. With V8's default the process grows by a tenth in a few hundred steps. */
const YOUNG_MIB = 2;

/** What is sent to a worker's thread (`worker-thread.ts`). Graphs and programs have numbers. */
export type WorkerMessage =
  /** A graph with where its inputs come from; its model where it is a new one, to be compiled at once. */
  | {
      kind: 'program';
      program: number;
      graph: number;
      model: Uint8Array | null;
      inputs: readonly GraphInput[];
    }
  | { kind: 'forget'; program: number }
  | WorkerRun;

/**
 * One run of a program. Its first arguments are what all parts of a batch share: floats that lie at `arrays` in `memory`,
 * which is moved there and back. The others are the part's own.
 */
export interface WorkerRun {
  kind: 'run';
  program: number;
  memory: ArrayBuffer;
  arrays: ReturnType<typeof layOut>['arrays'];
  own: readonly ValueData[];
}

export type WorkerAnswer = { memory: ArrayBuffer } & ({ outputs: ValueData[] } | { reason: string });

/** Where arrays of floats begin in a worker's memory, in the order given, and how long it has to be, both in bytes. */
export function layOut(lengths: readonly number[]) {
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

  constructor(private readonly threads: number) {}

  /** Gives it a program, whose graph it compiles at once where it is a new one; returns the program's number. */
  addProgram(structure: Structure, inputs: readonly GraphInput[]): number {
    const known = this.#graphs.get(structure.key);
    const graph = known ?? this.#graphs.size;
    this.#graphs.set(structure.key, graph);
    const model = known === undefined ? tight(modelOf(structure)) : null;
    const sent = inputs.map((input) =>
      'data' in input.source ? { ...input, source: { data: tight(input.source.data) } } : input,
    );
    this.#post({ kind: 'program', program: ++this.#programs, graph, model, inputs: sent });
    return this.#programs;
  }

  forget(program: number): void {
    this.#post({ kind: 'forget', program });
  }

  /** Ends the thread, and frees all that it has compiled; the next program starts another. */
  async free(): Promise<void> {
    const thread = this.#thread;
    this.#thread = null;
    this.#memory = new ArrayBuffer(0);
    this.#graphs.clear();
    await thread?.terminate();
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
      new Float32Array(memory, offset, length).set(shared[at]);
    }
    const own = data.slice(sharedCount).map((array) => array.slice());
    const moved = [memory, ...own.map(({ buffer }) => buffer as ArrayBuffer)];
    const thread = this.#post({ kind: 'run', program, memory, arrays, own }, moved);
    thread.ref();
    const [answer]: WorkerAnswer[] = await once(thread, 'message').catch(() => {
      throw this.#failure;
    });
    thread.unref();
    this.#memory = answer.memory;
    if ('outputs' in answer) return answer.outputs;
    throw new Error(answer.reason);
  }

  #post(message: WorkerMessage, moved: ArrayBuffer[] = []): Worker {
    this.#thread ??= this.#start();
    this.#thread.postMessage(message, moved);
    return this.#thread;
  }

  #start(): Worker {
    const thread = new Worker(new URL('./worker-thread.js', import.meta.url), {
      workerData: { threads: this.threads },
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MIB },
    });
    thread.unref(); // an idle thread does not keep the program alive
    thread.on('error', (error) => {
      this.#failure = new Error('the second thread that computes has failed', { cause: error });
    });
    return thread;
  }
}

/** The same numbers with a buffer of their own: what is sent to a thread takes all of its buffer along. */
function tight<Data extends ValueData>(data: Data): Data {
  return data.byteLength === data.buffer.byteLength ? data : (data.slice() as Data);
}
