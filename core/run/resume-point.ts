import type { Console } from '../base/console.js';
import { UserError } from '../base/errors.js';
import { holdsSetAside, latestCheckpoint } from '../checkpoint/names.js';
import { recoverCheckpoint } from '../checkpoint/recover.js';
import type { Options } from '../config/schema.js';
import { modelSize } from '../config/settings.js';
import { initialWeights } from '../methods/ijepa/model.js';
import { initialTrainState, type TrainState } from '../train/step.js';
import type { RunFolder } from './run-folder.js';
import { readRunLog } from './run-log.js';
import { readRunState } from './run-state.js';
import type { WatchMemory } from './watch-memory.js';

/** Where a run stands. */
export interface RunPosition {
  state: TrainState;
  watch: WatchMemory | null;
}

/** The beginning of a run. */
export function freshPosition(options: Options): RunPosition {
  const weights = initialWeights(modelSize(options), options.seed, options.init);
  return { state: initialTrainState(weights), watch: null };
}

/**
 * Where a run stopped: its newest whole checkpoint, or the beginning where it was stopped before the first one.
 * @throws UserError if it had checkpoints, but none is whole
 */
export async function readPosition(folder: RunFolder, options: Options, console: Console): Promise<RunPosition> {
  const checkpoint = await recoverCheckpoint(folder.checkpoints, modelSize(options), console.warn);
  if (checkpoint) return checkpoint;
  if (await hadCheckpoint(folder)) {
    throw new UserError(`${latestCheckpoint(folder.checkpoints)} is missing`, {
      expected: 'the newest checkpoint of the run, or an older one',
      remedy: 'put it back, or use --force to delete the run and start anew',
    });
  }
  console.line('the run was stopped before its first checkpoint: it starts from the first step');
  return freshPosition(options);
}

/** Whether a run that has no checkpoint once had one. */
async function hadCheckpoint(folder: RunFolder): Promise<boolean> {
  if (holdsSetAside(folder.checkpoints)) return true;
  const said = await readRunState(folder.state);
  // Runs from before there was a state.json saved after every epoch, before the next one began.
  return said ? said.savedStep > 0 : readRunLog(folder).some(({ epoch }) => epoch > 1);
}
