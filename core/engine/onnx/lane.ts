import { Worker } from 'node:worker_threads';
import type { ValueData } from './graph.js';
import type { LaneAnswer, LaneGraph, LaneMessage, LaneProgram, Place } from './lane-job.js';

/** Bytes between which arrays begin in a lane's memory. */
const ALIGNMENT = 64;

/** Room for new objects in the thread, in MiB. With V8's own choice the process grows by a tenth in some hundred steps. */
const YOUNG_MIB = 2;

/** Where arrays lie in a lane's memory, in the order given, and how long it has to be, in bytes. */
export function placesOf(lengths: readonly number[]): { places: Place[]; bytes: number } {
  let bytes = 0;
  const places = lengths.map((length) => {
    const offset = bytes;
    bytes += ALIGNMENT * Math.ceil((Float32Array.BYTES_PER_ELEMENT * length) / ALIGNMENT);
    return { offset, length };
  });
  return { places, bytes };
}

/** The same numbers with a buffer of their own: what is sent to a thread takes all of its buffer along. */
function tight<Data extends ValueData>(data: Data): Data {
  return data.byteLength === data.buffer.byteLength ? data : (data.slice() as Data);
}

/** A second thread that computes beside the main one; see `lanes.ts`. */
export class Lane {
  #worker: Worker | null = null;
  #failure: Error | null = null;
  #memory = new ArrayBuffer(0);
  #numbers = 0;
  #waiting: { resolve(outputs: ValueData[]): void; reject(error: Error): void } | null = null;

  /** @param threads that the lane computes on */
  constructor(private readonly threads: number) {}

  /** Gives it a graph, which it compiles at once; returns its number. */
  addGraph(graph: Pick<LaneGraph, 'model' | 'outputNames'>): number {
    this.#post({ kind: 'graph', graph: ++this.#numbers, ...graph, model: tight(graph.model) });
    return this.#numbers;
  }

  /** Gives it a program; returns its number. */
  addProgram({ graph, inputs }: Pick<LaneProgram, 'graph' | 'inputs'>): number {
    const sent = inputs.map((input) =>
      'data' in input.source ? { ...input, source: { data: tight(input.source.data) } } : input,
    );
    this.#post({ kind: 'program', program: ++this.#numbers, graph, inputs: sent });
    return this.#numbers;
  }

  forget(program: number): void {
    this.#post({ kind: 'forget', program });
  }

  /**
   * Runs a program; there is one job at a time.
   * @param data of its arguments
   * @param sharedCount how many of the first arguments, of floats, are copied into the lane's memory; of the others,
   *   copies are moved
   */
  async run(program: number, data: readonly ValueData[], sharedCount: number): Promise<ValueData[]> {
    if (this.#failure) throw this.#failure;
    const shared = data.slice(0, sharedCount) as Float32Array[];
    const { places, bytes } = placesOf(shared.map(({ length }) => length));
    const memory = this.#memory.byteLength === bytes ? this.#memory : new ArrayBuffer(bytes);
    shared.forEach((array, at) => {
      new Float32Array(memory, places[at]?.offset, array.length).set(array);
    });
    const own = data.slice(sharedCount).map((array) => array.slice());
    this.#started().ref();
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      const moved = [memory, ...own.map(({ buffer }) => buffer as ArrayBuffer)];
      this.#post({ kind: 'job', program, memory, places, own }, moved);
    });
  }

  #post(message: LaneMessage, moved: ArrayBuffer[] = []): void {
    this.#started().postMessage(message, moved);
  }

  #started(): Worker {
    this.#worker ??= this.#start();
    return this.#worker;
  }

  #start(): Worker {
    const worker = new Worker(new URL('./lane-thread.js', import.meta.url), {
      workerData: { threads: this.threads },
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MIB },
    });
    worker.unref(); // an idle thread does not keep the program alive
    worker.on('message', (answer: LaneAnswer) => {
      this.#memory = answer.memory;
      const waiting = this.#waiting;
      this.#waiting = null;
      worker.unref();
      if ('outputs' in answer) waiting?.resolve(answer.outputs);
      else waiting?.reject(new Error(answer.reason));
    });
    worker.on('error', (error) => {
      this.#failure = new Error('the second thread that computes has failed', { cause: error });
      this.#waiting?.reject(this.#failure);
      this.#waiting = null;
    });
    return worker;
  }
}
