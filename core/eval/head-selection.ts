import type { Engine } from '../engine/contract.js';
import { headChoices, headName } from './head-choices.js';
import { type HeadTask, type TrainedHead, trainHeads } from './heads.js';
import { holdOut } from './held-out.js';
import { pickRows, type Samples } from './samples.js';
import type { Selection } from './selection.js';

export interface SelectedHead {
  /** The grid, judged on the images on which the choice was made; none where there were too few to hold any out. */
  heads: readonly TrainedHead[];
  /** The chosen head, trained on all training images and judged on the test images. */
  best: TrainedHead;
}

/**
 * Trains the heads of a protocol's grid and chooses the one with the highest top-1 accuracy, of equal ones the first.
 * @throws the signal's reason if it is aborted
 */
export async function selectHead(
  engine: Engine,
  task: Omit<HeadTask, 'choices'>,
  { selection, plain }: { selection: Selection; plain: Samples },
): Promise<SelectedHead> {
  if (selection === 'test') {
    const heads = await trainHeads(engine, task);
    return { heads, best: bestOf(heads) };
  }
  const { held, rest } = holdOut(plain.rows);
  const heads =
    held.length === 0
      ? []
      : await trainHeads(engine, {
          ...task,
          train: async (epoch) => pickRows(await task.train(epoch), rest),
          test: pickRows(plain, held),
        });
  const choice = heads.length > 0 ? bestOf(heads).choice : headChoices(task.protocol)[0];
  if (!choice) throw new Error('a protocol without heads');
  const { onEpoch: _, ...alone } = task;
  const [best] = await trainHeads(engine, { ...alone, choices: [choice] });
  if (!best) throw new Error(`${headName(choice)} was not trained`);
  return { heads, best };
}

function bestOf(heads: readonly TrainedHead[]): TrainedHead {
  const top1 = ({ curve }: TrainedHead) => curve.at(-1) ?? 0;
  return heads.reduce((found, head) => (top1(head) > top1(found) ? head : found));
}
