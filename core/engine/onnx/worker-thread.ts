import { parentPort, workerData } from 'node:worker_threads';
import { reasonOf } from '../../base/errors.js';
import type { ValueData } from './graph.js';
import { feedsOf, type ProgramInput, type WorkerAnswer, type WorkerMessage, type WorkerRun } from './program.js';
import { loadRuntime } from './runtime.js';
import { type CompiledGraph, Sessions } from './sessions.js';

/*
 * A thread that runs graphs beside the main one (`compute-worker.ts`), with an ONNX Runtime session of its own for each.
 */
const port = parentPort as NonNullable<typeof parentPort>;
const sessions = new Sessions(loadRuntime().runtime, (workerData as { threads: number }).threads);
const graphs = new Map<number, Promise<CompiledGraph>>();
const programs = new Map<number, { graph: number; inputs: readonly ProgramInput[] }>();

port.on('message', (message: WorkerMessage) => {
  switch (message.kind) {
    case 'graph': {
      const compiled = sessions.build(message.model, message.outputNames);
      compiled.catch(() => {}); // the run that needs it reports the failure
      graphs.set(message.graph, compiled);
      return;
    }
    case 'program':
      programs.set(message.program, message);
      return;
    case 'forget':
      programs.delete(message.program);
      return;
    case 'run':
      void answer(message);
  }
});

async function answer(message: WorkerRun): Promise<void> {
  const { memory } = message;
  try {
    const outputs = await run(message);
    const buffers = new Set(outputs.map((output) => output.buffer as ArrayBuffer));
    port.postMessage({ memory, outputs } satisfies WorkerAnswer, [memory, ...buffers]);
  } catch (error) {
    port.postMessage({ memory, reason: reasonOf(error) } satisfies WorkerAnswer, [memory]);
  }
}

async function run({ program, memory, arrays, own }: WorkerRun): Promise<ValueData[]> {
  const { graph, inputs } = programs.get(program) as { graph: number; inputs: readonly ProgramInput[] };
  const shared = arrays.map(({ offset, length }) => new Float32Array(memory, offset, length));
  return sessions.run((await graphs.get(graph)) as CompiledGraph, feedsOf(inputs, [...shared, ...own]));
}
