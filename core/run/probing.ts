import { z } from 'zod';
import type { Console } from '../base/console.js';
import { reasonOf, UserError } from '../base/errors.js';
import type { Options } from '../config/schema.js';
import { microBatchSizeOf } from '../config/settings.js';
import type { DataSet } from '../contract/data-sets.js';
import { cropSettings } from '../data/crop.js';
import { isAbort } from '../data/skipped.js';
import type { OnlineProbe, ProbeImages, ProbeResult } from '../eval/online-probe.js';
import type { Parameters } from '../nn/parameters.js';
import type { Ranks } from '../train/communicator/ranks.js';
import type { StopSignal } from './interrupt.js';
import type { Training } from './prepare.js';
import { ProbeTimes } from './probe-times.js';

/** Top-1 in percent. */
export const probeResultSchema = z.object({ logistic: z.number(), neighbours: z.number().nullable() });
export const probedStepSchema = probeResultSchema.extend({ step: z.int().min(1) });
/** What a probe told of a step. */
export type ProbedStep = z.infer<typeof probedStepSchema>;

const memorySchema = z.object({
  /** That of the images. */
  fingerprint: z.string(),
  /** Before the first step; null where that failed. */
  first: probeResultSchema.nullable(),
  best: probedStepSchema.nullable(),
  last: probedStepSchema.nullable(),
  /** The newest probe, where the time that it took decides when the next one is. */
  timed: z.object({ step: z.int().min(0), seconds: z.number() }).nullable(),
});

/** What a run remembers from one probe to the next; checkpoints hold it. */
export type ProbeMemory = z.infer<typeof memorySchema>;

/** What a checkpoint holds of an online probe; null where it holds nothing. */
export function parseProbeMemory(memory: unknown): ProbeMemory | null {
  return z
    .object({ probe: memorySchema })
    .transform(({ probe }) => probe)
    .nullable()
    .catch(null)
    .parse(memory);
}

/** Draws the images of the probe that a run is to have; null where it is to have none. @throws UserError */
export async function openProbe({ probe, probeImages, seed }: Options, dataSets: readonly DataSet[]) {
  if (probe === null) return null;
  const { openProbeImages } = await import('../eval/online-probe.js'); // most runs have none
  return openProbeImages(probe, dataSets, probeImages, seed);
}

/** Reads them. It comes after the choice of what is computed at once: that must not depend on the memory that they take. */
export async function readProbeOf(
  { engine, backbone, options }: Training,
  images: ProbeImages | null,
  stop: StopSignal,
) {
  if (images === null) return null;
  const { pixelLimit } = cropSettings(options);
  const { maxUnreadable } = options;
  const together = microBatchSizeOf(options);
  const { readProbe } = await import('../eval/online-probe.js');
  return readProbe(engine, backbone, images, { together, pixelLimit, maxUnreadable, signal: stop.aborted });
}

interface Probed {
  options: Pick<Options, 'probe' | 'probeEverySteps'>;
  /** Null where none was asked for. */
  probe: OnlineProbe | null;
  ranks: Pick<Ranks, 'phase'>;
  stop: Pick<StopSignal, 'aborted'>;
  console: Pick<Console, 'line' | 'warn'>;
}

export type Probing = NonNullable<Awaited<ReturnType<typeof startProbing>>>;

/**
 * Probes a run now and then; in a new one, before its first step. A probe changes nothing of what is trained: it draws no
 * numbers of the run's streams, and compiles nothing of what the run computes. One that fails is named once, and the run
 * goes on.
 * @param encoder the one that is judged, as it is now
 * @param memory what a checkpoint remembered, or null in a new run
 * @returns null where no probe was asked for
 * @throws UserError if the images are others than before
 */
export async function startProbing(
  { options, probe, ranks, stop, console }: Probed,
  totalSteps: number,
  encoder: Parameters,
  memory: ProbeMemory | null,
) {
  if (probe === null) return null;
  if (memory && memory.fingerprint !== probe.fingerprint) {
    throw new UserError(`the labelled images in ${options.probe} are not those that the run was probed with`, {
      expected: 'the same files, by name and size',
      remedy: 'put them back as they were, or start a new run',
    });
  }
  const every = options.probeEverySteps;
  let hasFailed = false;
  /** Null where it failed, or was asked to stop. */
  const judge = async (weights: Parameters, signal?: AbortSignal): Promise<ProbeResult | null> => {
    ranks.phase('evaluating');
    try {
      return await probe.judge(weights, () => ranks.phase('evaluating'), signal);
    } catch (error) {
      if (!hasFailed && !isAbort(error))
        console.warn(`the online probe failed: ${reasonOf(error)}; the run goes on, and this is not told again`);
      hasFailed = true;
      return null;
    }
  };
  const timed = async (step: number, weights: Parameters, signal?: AbortSignal) => {
    const started = performance.now();
    const result = await judge(weights, signal);
    return { result, probe: { step, seconds: (performance.now() - started) / 1000 } };
  };
  const begin = async (): Promise<ProbeMemory> => {
    const { result: first, probe: took } = await timed(0, encoder, stop.aborted);
    if (first) console.line(`probe      before the first step: ${probeText(first)}`);
    return {
      ...{ fingerprint: probe.fingerprint, first, best: null, last: null },
      timed: every === null ? took : null,
    };
  };
  const hasResult = memory !== null && (memory.first ?? memory.last) !== null;
  const remembered = hasResult ? memory : await begin();
  const times = new ProbeTimes(every, totalSteps, remembered.timed);
  return {
    /** What is remembered from one probe to the next. */
    memory: remembered,
    isDueAfter: (step: number) => times.isDueAfter(step),
    /**
     * Probes after a step, where one is due.
     * @param stepSeconds how long the step took
     * @returns nulls where none is due, or it failed
     */
    async after(step: number, weights: Parameters, stepSeconds: number) {
      times.tookStep(step, stepSeconds);
      if (!times.isDueAfter(step)) return { result: null, seconds: null };
      const { result, probe: took } = await timed(step, weights);
      times.tookProbe(took);
      if (every === null) remembered.timed = took;
      if (result === null) return { result, seconds: null };
      remembered.last = { ...result, step };
      // A logistic regression is a linear head, by which the method is judged in the end; of equals the earlier one stays.
      const isBest = remembered.best === null || result.logistic > remembered.best.logistic;
      if (isBest) remembered.best = remembered.last;
      console.line(`probe      step ${step}: ${probeText(result)}${isBest ? ', the best so far' : ''}`);
      return { result, seconds: took.seconds };
    },
  };
}

/** 'logistic regression 43.1%, nearest neighbours 30.2%' */
export function probeText({ logistic, neighbours }: ProbeResult): string {
  const voted = neighbours === null ? '' : `, nearest neighbours ${neighbours.toFixed(1)}%`;
  return `logistic regression ${logistic.toFixed(1)}%${voted}`;
}
