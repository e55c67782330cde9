import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { reasonOf } from '../base/errors.js';
import { openEventFile } from '../report/event-file.js';
import type { RunFolder } from './run-folder.js';
import type { LogRow } from './run-log.js';
import { scalarsOf } from './scalars.js';

/** What TensorBoard reads of a run: a file for each time that it was started. */
export type RunEvents = Awaited<ReturnType<typeof openRunEvents>>;

/** Curves are added once there are so many times the steps of the last ones: a picture is as large as many steps. */
const CURVES_GROWTH = 1.1;

/**
 * Begins the file of a session with the options of the run, and in a new run the picture of its masks. What earlier files
 * tell of steps after the first one does not count any more: they are done again.
 * @param firstStep steps that were done before
 * @param report takes what people should read
 * @throws UserError if it cannot be written
 */
export async function openRunEvents(
  folder: RunFolder,
  firstStep: number,
  totalSteps: number,
  report: (message: string) => void,
) {
  const file = await openEventFile(folder.tensorboard, firstStep + 1);
  let nextCurves = firstStep + 1;
  const addPicture = async (step: number, tag: string, path: string) => {
    try {
      file.add(step, { [tag]: { png: await readFile(path) } });
    } catch (error) {
      report(`${basename(path)} is not shown by TensorBoard: ${reasonOf(error)}`);
    }
  };
  file.add(firstStep + 1, { config: { text: asCode(await readFile(folder.config, 'utf8')) } });
  if (firstStep === 0) await addPicture(1, 'masks', folder.masks);
  return {
    /** Adds the numbers of a step. They are in the file at once, so that a kill loses none. */
    addStep: (row: LogRow) => file.add(row.step, Object.fromEntries(scalarsOf(row))),
    /** Adds the curves that were drawn after a step, if the last ones are much older or the run is complete. */
    async addCurves(step: number) {
      if (step < nextCurves) return;
      nextCurves = Math.max(step + 1, Math.min(totalSteps, Math.ceil(step * CURVES_GROWTH)));
      await addPicture(step, 'curves', folder.curves);
    },
    close: () => file.close(),
  };
}

/** A text that Markdown shows as it is. */
function asCode(text: string): string {
  return text.replaceAll(/^/gm, '    ');
}
