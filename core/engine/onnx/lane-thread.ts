import { parentPort, workerData } from 'node:worker_threads';
import { reasonOf } from '../../base/errors.js';
import type { ValueData } from './graph.js';
import type { LaneAnswer, LaneJob, LaneMessage, LaneProgram } from './lane-job.js';
import { feedsOf } from './program.js';
import { loadRuntime } from './runtime.js';
import { type CompiledGraph, compileModel, runGraph } from './sessions.js';

/*
 * A thread that runs graphs beside the main one (`lane.ts`), with an ONNX Runtime session of its own for each.
 */
const port = parentPort as NonNullable<typeof parentPort>;
const { runtime } = loadRuntime();
const { threads } = workerData as { threads: number };
const graphs = new Map<number, Promise<CompiledGraph>>();
const programs = new Map<number, LaneProgram>();

port.on('message', (message: LaneMessage) => {
  switch (message.kind) {
    case 'graph': {
      const compiled = compile(message.model, message.outputNames);
      compiled.catch(() => {}); // the job that needs it reports the failure
      graphs.set(message.graph, compiled);
      return;
    }
    case 'program':
      programs.set(message.program, message);
      return;
    case 'forget':
      programs.delete(message.program);
      return;
    case 'job':
      void answer(message);
  }
});

async function compile(model: Uint8Array, outputNames: readonly string[]): Promise<CompiledGraph> {
  return { session: await compileModel(runtime, model, threads), outputNames };
}

async function answer(job: LaneJob): Promise<void> {
  const { memory } = job;
  try {
    const outputs = await run(job);
    const buffers = new Set(outputs.map((output) => output.buffer as ArrayBuffer));
    port.postMessage({ memory, outputs } satisfies LaneAnswer, [memory, ...buffers]);
  } catch (error) {
    port.postMessage({ memory, reason: reasonOf(error) } satisfies LaneAnswer, [memory]);
  }
}

async function run({ program, memory, places, own }: LaneJob): Promise<ValueData[]> {
  const { graph, inputs } = programs.get(program) as LaneProgram;
  const shared = places.map(({ offset, length }) => new Float32Array(memory, offset, length));
  const feeds = feedsOf(inputs, [...shared, ...own]);
  return runGraph(runtime, (await graphs.get(graph)) as CompiledGraph, feeds);
}
