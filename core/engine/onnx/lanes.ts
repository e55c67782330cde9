import { type CompiledParts, type Engine, oneByOne } from '../contract.js';
import type { OnnxBackend } from './backend.js';
import { Lane } from './lane.js';
import { feedsOf, type ProgramInput } from './program.js';
import { replayed, resultOf, Traced, tensorsIn } from './replay.js';
import { type CompiledGraph, modelOf, outputNamesOf, type Sessions } from './sessions.js';
import type { Structure } from './structure.js';

/*
 * Two parts of a batch at the same time, one in the main thread and one in a thread beside it, each on half of the cores.
 *
 * Where one graph runs on all cores, every operator waits for the slowest of them, some thousand times a step; two graphs
 * wait for one another once. What the parts share, the weights, is copied into memory that is moved to the other thread
 * with a job and comes back with its answer; results are moved without being copied.
 */
const LANES = 2;

/** What the lanes need for running a graph. */
interface Ready {
  /** The session of the main thread. */
  compiled: CompiledGraph;
  /** The program's number in the other thread. */
  program: number;
}

/** Parts side by side, on so many threads in all. */
export function inLanes(backend: OnnxBackend, threads: number): Pick<Engine, 'concurrency' | 'compileParts'> {
  const lane = new Lane(Math.floor(threads / LANES));
  const sessions = backend.sessions.beside(Math.ceil(threads / LANES));
  const graphs = new Map<string, number>();
  return { concurrency: LANES, compileParts: (fn) => inTwoLanes(backend, sessions, lane, graphs, fn) };
}

/** Parts one after the other, each on all cores. */
export function inOneLane(backend: OnnxBackend): Pick<Engine, 'concurrency' | 'compileParts'> {
  return { concurrency: 1, compileParts: (fn) => oneByOne(replayed(backend, fn)) };
}

function inTwoLanes<Shared, Part, Result>(
  backend: OnnxBackend,
  sessions: Sessions,
  lane: Lane,
  graphs: Map<string, number>,
  fn: (shared: Shared, part: Part) => Result,
): CompiledParts<Shared, Part, Result> {
  const alone = oneByOne(replayed(backend, fn));
  const prepare = async (structure: Structure, inputs: readonly ProgramInput[]): Promise<Ready> => {
    let model: Uint8Array | undefined;
    let graph = graphs.get(structure.key);
    if (graph === undefined) {
      model = modelOf(structure);
      graph = lane.addGraph({ model, outputNames: outputNamesOf(structure) }); // compiled there while it is compiled here
      graphs.set(structure.key, graph);
    }
    const program = lane.addProgram({ graph, inputs });
    return { program, compiled: await backend.inTurn(() => sessions.compile(structure, model)) };
  };
  const traced = new Traced(backend, fn, prepare, ({ program }) => lane.forget(program));

  return async function* (shared, parts, concurrency = LANES) {
    if (concurrency < LANES || parts.length < LANES) return yield* alone(shared, parts);
    const sharedCount = tensorsIn(shared).length;
    for (let first = 0; first < parts.length; first += LANES) {
      const [here, there] = parts.slice(first, first + LANES) as [Part, Part?];
      const call = await traced.call([shared, here]);
      const beside = there === undefined ? null : await traced.call([shared, there]);
      const answer = beside && lane.run(beside.program.ready.program, beside.data, sharedCount);
      const ended = answer?.catch(() => {}); // whoever awaits the answer is told
      try {
        const outputs = await backend.inTurn(() =>
          sessions.run(call.program.ready.compiled, feedsOf(call.program.inputs, call.data)),
        );
        yield resultOf(backend, call, outputs) as Result;
        if (beside && answer) yield resultOf(backend, beside, await answer) as Result;
      } finally {
        await ended; // the lane is free again, whatever became of this part
      }
    }
  };
}
