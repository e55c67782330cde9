import { Worker } from 'node:worker_threads';
import { UserError } from '../base/errors.js';
import type { SaveJob } from './folder.js';
import type { SaveFailure } from './save-worker.js';

/**
 * Writes checkpoints in a thread of its own, one at a time, while training goes on. The tensors of a job lie in shared
 * memory: they must stay as they are until the job is done.
 */
export class BackgroundSaver {
  #worker: Worker | null = null;
  #writing: Promise<void> | null = null;
  #failure: { error: unknown } | null = null;

  /** Whether a checkpoint is being written. */
  get busy(): boolean {
    return this.#writing !== null;
  }

  /** Starts to write. */
  start(job: SaveJob): void {
    if (this.#writing) throw new Error('a checkpoint is being written already');
    this.#worker ??= new Worker(new URL('./save-worker.js', import.meta.url));
    this.#writing = perform(this.#worker, job)
      .catch((error: unknown) => {
        this.#failure ??= { error };
      })
      .finally(() => {
        this.#writing = null;
      });
  }

  /** @throws what a write that has ended failed with */
  check(): void {
    if (this.#failure) throw this.#failure.error;
  }

  /**
   * Waits until nothing is being written.
   * @throws what a write failed with
   */
  async settle(): Promise<void> {
    await this.#writing;
    this.check();
  }

  /** Waits for what is being written, whatever becomes of it, and ends the thread. */
  async close(): Promise<void> {
    await this.#writing;
    await this.#worker?.terminate();
  }
}

/** Gives a job to the thread and waits for its answer. */
function perform(worker: Worker, job: SaveJob): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (act: () => void) => {
      worker.off('message', onMessage).off('error', onError).off('exit', onExit);
      act();
    };
    const onMessage = (failure: SaveFailure | null) =>
      settle(() => (failure === null ? resolve() : reject(toError(failure))));
    const onError = (error: unknown) => settle(() => reject(error));
    const onExit = (code: number) => settle(() => reject(new Error(`the thread that writes ended with code ${code}`)));
    worker.on('message', onMessage).on('error', onError).on('exit', onExit);
    worker.postMessage(job);
  });
}

function toError(failure: SaveFailure): Error {
  if ('problem' in failure) return new UserError(failure.problem, failure.advice);
  return new Error(`a checkpoint could not be written: ${failure.bug}`);
}
