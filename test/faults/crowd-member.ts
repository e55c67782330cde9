import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { writeFileAtomically } from '../../core/base/atomic.js';
import { UserError } from '../../core/base/errors.js';
import type { FileLock } from '../../core/base/lock.js';
import { openFeatureCache } from '../../core/eval/features-cache.js';
import { addResults } from '../../core/eval/results.js';
import { createRunFolder, runLock } from '../../core/run/run-folder.js';
import { evaluationResult } from '../helpers/evaluation.js';

// A process of a crowd: at the time that it is told it does in a folder what commands do in theirs, and tells what came of it.

/** What a member is to do, and when. */
export interface CrowdTask {
  folder: string;
  number: number;
  members: number;
  at: number;
}

/** What came of it: whether it got the run's folder, or with which message it was refused; what went wrong. */
export interface CrowdAnswer {
  taken: boolean;
  refusal: string | null;
  fault: string | null;
}

/** Numbers of a row of features. */
export const COLUMNS = 8;

/** The features that processes of a crowd share. */
export function sharedFeatures(folder: string, members: number) {
  const size = { dim: 8, depth: 1, heads: 1, mlpRatio: 4 };
  const network = { arch: 'a', size, patchSize: 4, imageSize: 16, trainedImageSize: 16, facts: { fingerprint: 'f' } };
  const item = () => ({ name: 'never read', source: async () => Buffer.alloc(0) });
  const images = { description: 'pictures', length: members, fingerprint: String(members), item };
  const settings = { views: 'test', transform: 'crop', seed: 0 } as const;
  return openFeatureCache(join(folder, 'deep', 'features'), network, images, settings);
}

let lock: FileLock | null = null;

process.on('message', async ({ folder, number, members, at }: CrowdTask) => {
  await lock?.release(); // of the round before
  const answer: CrowdAnswer = { taken: false, refusal: null, fault: null };
  await setTimeout(at - Date.now());
  try {
    const run = join(folder, 'runs', 'new', 'run');
    lock = runLock(run);
    try {
      const { config } = await createRunFolder(run, false, lock);
      await writeFileAtomically(config, `${number}`);
      answer.taken = true;
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      answer.refusal = error.message;
    }
    const dataSet = `set-${number}`;
    await addResults(join(folder, 'results.json'), [evaluationResult({ dataSet })]);
    const cache = await sharedFeatures(folder, members);
    for (const rows of [Int32Array.of(number), Int32Array.of(0, members - 1)]) {
      await cache.store({ rows, features: new Float32Array(rows.length * COLUMNS).fill(1) });
    }
    await writeFileAtomically(join(folder, 'chart'), String(number).repeat(10_000));
    if ((await readFile(join(folder, 'chart'))).length % 10_000 !== 0) answer.fault = 'a file is not whole';
  } catch (error) {
    answer.fault = error instanceof Error ? (error.stack ?? error.message) : String(error);
  }
  process.send?.(answer);
});
process.send?.('ready');
