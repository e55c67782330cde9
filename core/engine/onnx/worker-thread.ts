import { parentPort, workerData } from 'node:worker_threads';
import type { InferenceSession } from 'onnxruntime-common';
import { reasonOf } from '../../base/errors.js';
import type { WorkerAnswer, WorkerMessage, WorkerRun } from './compute-worker.js';
import { type GraphInput, Sessions } from './sessions.js';

/* A thread that runs graphs beside the main one (`compute-worker.ts`), with an ONNX Runtime session of its own for each. */
type Program = { session: Promise<InferenceSession>; inputs: readonly GraphInput[] };

const port = parentPort as NonNullable<typeof parentPort>;
const sessions = new Sessions((workerData as { threads: number }).threads);
const graphs = new Map<number, Promise<InferenceSession>>();
const programs = new Map<number, Program>();

port.on('message', (message: WorkerMessage) => {
  if (message.kind === 'run') void answer(message);
  else if (message.kind === 'forget') programs.delete(message.program);
  else {
    const { program, graph, model, inputs } = message;
    if (model) graphs.set(graph, sessions.build(model));
    const session = graphs.get(graph) as Promise<InferenceSession>;
    session.catch(() => {}); // the run that needs it reports the failure
    programs.set(program, { session, inputs });
  }
});

async function answer({ program, memory, arrays, own }: WorkerRun): Promise<void> {
  try {
    const { session, inputs } = programs.get(program) as Program;
    const shared = arrays.map(({ offset, length }) => new Float32Array(memory, offset, length));
    const outputs = await sessions.run(await session, inputs, [...shared, ...own]);
    const buffers = new Set(outputs.map((output) => output.buffer as ArrayBuffer));
    port.postMessage({ memory, outputs } satisfies WorkerAnswer, [memory, ...buffers]);
  } catch (error) {
    port.postMessage({ memory, reason: reasonOf(error) } satisfies WorkerAnswer, [memory]);
  }
}
