import { mkdir, rm } from 'node:fs/promises';
import fc from 'fast-check';
import { changedBytes } from './bytes.js';
import { judge, type Verdict } from './judge.js';
import type { FuzzedReader } from './reader.js';

/** What came of the cases of a reader. */
export interface Summary {
  reader: string;
  cases: number;
  returned: number;
  refused: number;
  failure: Failure | null;
}

export interface Failure {
  /** The smallest input that was found. */
  input: Uint8Array;
  problem: string;
}

/** A case that neither ends nor computes counts as a hang after this. */
export const LONGEST_WAIT_MS = 60_000;
/** How long a smaller input is looked for. */
const SHRINK_MS = 20_000;

/**
 * Tries inputs on a reader; the same seed gives the same ones.
 * @param folder in which the input and what the reader writes lie; made, and removed unless something failed
 * @param tell is told after each case
 */
export async function tryReader(
  reader: FuzzedReader,
  cases: number,
  seed: number,
  folder: string,
  tell: (done: Omit<Summary, 'failure'>) => void = () => {},
): Promise<Summary> {
  await mkdir(folder, { recursive: true });
  await reader.prepare?.(folder);
  const counts: Record<Verdict, number> = { returned: 0, refused: 0 };
  let failedAt: number | undefined;
  const so = () => ({ reader: reader.name, cases: counts.returned + counts.refused, ...counts });
  const property = fc.asyncProperty(changedBytes(reader.inputs), async (input) => {
    if (failedAt !== undefined && Date.now() - failedAt > SHRINK_MS) return;
    try {
      counts[await judge(reader, folder, input)]++;
    } catch (error) {
      failedAt ??= Date.now();
      throw error;
    }
    tell(so());
  });
  const details = await fc.check(property, { numRuns: cases, seed, timeout: LONGEST_WAIT_MS });
  const input = details.counterexample?.[0];
  if (input === undefined) {
    await rm(folder, { recursive: true, force: true });
    return { ...so(), failure: null };
  }
  const thrown = details.errorInstance;
  const problem = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
  return { ...so(), failure: { input, problem } };
}
