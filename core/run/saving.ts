import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { UserError } from '../base/errors.js';
import { type CheckpointFacts, checkpointMetadata, copyState, type StateCopy } from '../checkpoint/checkpoint.js';
import { type SaveJob, saveFiles } from '../checkpoint/folder.js';
import type { SaveFailure } from '../checkpoint/save-worker.js';
import type { Options } from '../config/schema.js';
import type { TrainState } from '../train/state.js';
import type { ProbeMemory } from './probing.js';
import { type RunFolder, runStateText } from './run-folder.js';
import type { WatchMemory } from './watch.js';

const MINUTE = 60_000;

/** Bytes of a state that a thread writes: a smaller one is written sooner than a thread has started. */
const THREAD_BYTES = 8 * 2 ** 20;

/** What a run remembers, beside its state; `probe` where it has an online probe. */
export type RunMemory = WatchMemory & { probe?: ProbeMemory };

type WhenOptions = Pick<
  Options,
  'data' | 'initFrom' | 'saveEverySteps' | 'saveEveryMinutes' | 'saveEveryEpochs' | 'keepCheckpoints' | 'epochs'
>;

/**
 * Decides when a run is saved, and saves it: training waits for a copy of the state alone, which is written in the
 * background, a large one by a thread of its own. The copy lies in memory that both share: it stays as it is until it is written.
 * One is written at a time: what falls due meanwhile follows after it, and the end of an epoch and a
 * probe wait for it.
 */
export class CheckpointSaving {
  #worker: Worker | null = null;
  #writing: Promise<void> | null = null;
  #failure: { error: unknown } | null = null;
  #copy: StateCopy | null = null;
  #savedStep: number;
  #savedAt = performance.now();
  #isDue = false;

  /**
   * @param firstStep steps that were done, and saved, before
   * @param threadBytes bytes of a state from which on a thread writes it
   */
  constructor(
    private readonly folder: RunFolder,
    private readonly model: CheckpointFacts['model'],
    private readonly options: WhenOptions,
    private readonly epochSteps: number,
    firstStep: number,
    private readonly threadBytes = THREAD_BYTES,
  ) {
    this.#savedStep = firstStep;
  }

  /**
   * Whether a checkpoint is to be written after a step that is about to be taken.
   * @param isProbed whether the run is probed after it: that is always saved, so that no probe is done twice
   * @throws UserError if an earlier one could not be written
   */
  isDueAfter(step: number, isProbed = false): boolean {
    this.#check();
    const endsEpoch = step % this.epochSteps === 0;
    const { saveEverySteps, saveEveryMinutes } = this.options;
    const endsSteps = saveEverySteps !== null && step % saveEverySteps === 0;
    this.#isDue ||=
      isProbed || endsEpoch || endsSteps || performance.now() - this.#savedAt >= saveEveryMinutes * MINUTE;
    return this.#isDue && (endsEpoch || isProbed || !this.#writing);
  }

  /** The step of the newest checkpoint, written or being written. */
  get savedStep(): number {
    return this.#savedStep;
  }

  /**
   * Waits until nothing is being written.
   * @throws what a write failed with
   */
  async settle(): Promise<void> {
    await this.#writing;
    this.#check();
  }

  /** Waits for what is being written, whatever becomes of it, and ends the thread. */
  async close(): Promise<void> {
    await this.#writing;
    await this.#worker?.terminate();
  }

  #check(): void {
    if (this.#failure) throw this.#failure.error;
  }

  /**
   * Saves; training may go on as soon as the state is copied.
   * @param history what engines remember of shapes
   * @throws UserError if this or an earlier checkpoint could not be written
   */
  async save(state: TrainState, memory: RunMemory | null, history: unknown): Promise<void> {
    await this.settle(); // the copy's memory is free again
    this.#copy = await copyState(state, this.#copy);
    const { step } = state;
    const epoch = Math.ceil(step / this.epochSteps);
    const { checkpoints, log, table, state: statePath } = this.folder;
    const isEpochKept = step % this.epochSteps === 0 && isKept(epoch, this.options);
    const verdicts = memory?.verdicts ?? {};
    const best = memory?.probe?.best ?? null;
    const job: SaveJob = {
      folder: checkpoints,
      tensors: this.#copy,
      metadata: checkpointMetadata(step, {
        epoch,
        data: learnedFrom(this.options),
        model: this.model,
        memory,
        history,
      }),
      sync: [log, table], // never a checkpoint whose steps are not in the log
      keep: isEpochKept ? { epoch, most: this.options.keepCheckpoints } : null,
      isBest: best?.step === step,
      note: {
        path: statePath,
        content: runStateText({ state: 'running', reason: null, savedStep: step, verdicts, probe: best }),
      },
    };
    this.#writing = this.#perform(job)
      .catch((error: unknown) => {
        this.#failure ??= { error };
      })
      .finally(() => {
        this.#writing = null;
      });
    this.#savedStep = step;
    this.#savedAt = performance.now();
    this.#isDue = false;
  }

  #perform(job: SaveJob): Promise<void> {
    const bytes = [...job.tensors.values()].reduce((sum, { data }) => sum + data.byteLength, 0);
    if (bytes < this.threadBytes) return saveFiles(job);
    this.#worker ??= new Worker(new URL('../checkpoint/save-worker.js', import.meta.url));
    return performBy(this.#worker, job);
  }
}

/** Whether the checkpoint of an epoch is kept under its number: now and then, and at the end. */
export function isKept(epoch: number, { saveEveryEpochs, epochs }: WhenOptions): boolean {
  return epoch % saveEveryEpochs === 0 || epoch === epochs;
}

/** Gives a job to the thread and waits for its answer. */
async function performBy(worker: Worker, job: SaveJob): Promise<void> {
  worker.postMessage(job);
  const answered = new AbortController(); // takes the listeners away
  const { signal } = answered;
  const answer = once(worker, 'message', { signal }) as Promise<[SaveFailure | null]>; // fails where the thread does
  const end = once(worker, 'exit', { signal }).then(([code]) => {
    throw new Error(`the thread that writes ended with code ${code}`);
  });
  const [failure] = await Promise.race([answer, end]).finally(() => answered.abort());
  if (failure === null) return;
  if ('problem' in failure) throw new UserError(failure.problem, failure.advice);
  throw new Error(`a checkpoint could not be written: ${failure.bug}`);
}

/** What a network learned from, for people: images, and the weights from which it went on. */
function learnedFrom({ data, initFrom }: WhenOptions): string {
  const images = data.join(', ');
  return initFrom === null ? images : `${images} (from ${initFrom})`;
}
