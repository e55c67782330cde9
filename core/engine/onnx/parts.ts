import { type CompiledParts, type Engine, oneByOne } from '../contract.js';
import type { OnnxBackend } from './backend.js';
import { ComputeWorker } from './compute-worker.js';
import { replayed, resultOf, TracedFunction, tensorsIn } from './replay.js';
import { Sessions } from './sessions.js';

/** One part of a batch in the main thread and one in a thread beside it, each on half of the cores. */
const CONCURRENCY = 2;

/** Parts one after the other, each on all threads, or two at the same time where there are threads for both. */
export function partsOn(
  backend: OnnxBackend,
  threads: number,
): Pick<Engine, 'concurrency' | 'compileParts'> & Required<Pick<Engine, 'free'>> {
  const { sessions: whole } = backend;
  if (threads < CONCURRENCY) {
    return {
      concurrency: 1,
      compileParts: (fn) => oneByOne(replayed(backend, fn)),
      free: () => backend.inTurn(() => whole.free()),
    };
  }
  const worker = new ComputeWorker(Math.floor(threads / CONCURRENCY));
  const sessions = new Sessions(Math.ceil(threads / CONCURRENCY));
  const compileParts = <Shared, Part, Result>(
    fn: (shared: Shared, part: Part) => Result,
  ): CompiledParts<Shared, Part, Result> => {
    const alone = oneByOne(replayed(backend, fn));
    const traced = new TracedFunction(
      backend,
      fn,
      async (structure, inputs) => {
        const program = worker.addProgram(structure, inputs); // compiled there while it is compiled here
        return { program, compiled: await backend.inTurn(() => sessions.compile(structure)) };
      },
      ({ program }) => worker.forget(program),
    );
    return async function* (shared, parts, concurrency = CONCURRENCY) {
      if (concurrency < CONCURRENCY || parts.length < CONCURRENCY) return yield* alone(shared, parts);
      const sharedCount = tensorsIn(shared).length;
      for (let first = 0; first < parts.length; first += CONCURRENCY) {
        const [here, there] = parts.slice(first, first + CONCURRENCY) as [Part, Part?];
        const call = await traced.call([shared, here]);
        const beside = there === undefined ? null : await traced.call([shared, there]);
        const answer = beside && worker.run(beside.program.ready.program, beside.data, sharedCount);
        const ended = answer?.catch(() => {}); // whoever awaits the answer is told
        try {
          const { ready, inputs, outputs } = call.program;
          const results = await backend.inTurn(() => sessions.run(ready.compiled, inputs, call.data, outputs));
          yield resultOf(backend, call, results, sessions.pool) as Result;
          if (beside && answer) yield resultOf(backend, beside, await answer) as Result;
        } finally {
          await ended; // the worker is free again, whatever became of this part
        }
      }
    };
  };
  const free = () =>
    backend.inTurn(async () => {
      await Promise.all([whole.free(), sessions.free(), worker.free()]);
    });
  return { concurrency: CONCURRENCY, compileParts, free };
}
