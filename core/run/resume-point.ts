import type { Console } from '../base/console.js';
import { UserError } from '../base/errors.js';
import { loadCheckpoint, type RecordedModel } from '../checkpoint/checkpoint.js';
import { holdsSetAside, latestCheckpoint } from '../checkpoint/names.js';
import { recoverCheckpoint } from '../checkpoint/save.js';
import type { Method } from '../methods/method.js';
import type { Optimiser } from '../optim/optimiser.js';
import { initialState, stateShapes, type TrainState } from '../train/state.js';
import type { RunFolder } from './run-folder.js';
import { readRunState } from './run-state.js';
import { parseWatchMemory, type WatchMemory } from './run-watch.js';

/** Where a run stands. */
export interface ResumePoint {
  state: TrainState;
  watch: WatchMemory | null;
}

/** What a run trains. */
export interface Trained {
  method: Method;
  optimiser: Optimiser;
  model: RecordedModel;
  seed: number;
}

/** The beginning of a run. */
export function freshStart({ method, optimiser, seed }: Trained): ResumePoint {
  return { state: initialState(method, optimiser.slotNames, seed), watch: null };
}

/**
 * Where a run stopped: its newest whole checkpoint, or the beginning where it was stopped before the first one.
 * @throws UserError if it had checkpoints, but none is whole
 */
export async function readResumePoint(folder: RunFolder, trained: Trained, console: Console): Promise<ResumePoint> {
  const shapes = stateShapes(trained.method, trained.optimiser.slotNames);
  const load = (path: string) => loadCheckpoint(path, trained.model, shapes);
  const checkpoint = await recoverCheckpoint(folder.checkpoints, load, console.warn);
  if (checkpoint) return { state: checkpoint.state, watch: parseWatchMemory(checkpoint.memory) };
  const said = await readRunState(folder.state);
  if (holdsSetAside(folder.checkpoints) || (said && said.savedStep > 0)) {
    throw new UserError(`${latestCheckpoint(folder.checkpoints)} is missing`, {
      expected: 'the newest checkpoint of the run, or an older one',
      remedy: 'put it back, or use --force to delete the run and start anew',
    });
  }
  console.line('the run was stopped before its first checkpoint: it starts from the first step');
  return freshStart(trained);
}
