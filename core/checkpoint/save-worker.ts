import { parentPort } from 'node:worker_threads';
import { UserError } from '../base/errors.js';
import { type SaveJob, saveFiles } from './folder.js';

// The thread in which checkpoints are hashed and written: it answers each job with null, or with why it failed.

/** Why a job failed, in a form that can be sent to another thread. */
export type SaveFailure = { problem: string; advice: UserError['advice'] } | { bug: string };

parentPort?.on('message', async (job: SaveJob) => {
  parentPort?.postMessage(await saveFiles(job).then(() => null, describe));
});

function describe(error: unknown): SaveFailure {
  if (error instanceof UserError) return { problem: error.message, advice: error.advice };
  return { bug: error instanceof Error ? (error.stack ?? error.message) : String(error) };
}
