import type { Engine } from '../engine/contract.js';
import { accuracies } from './accuracy.js';
import { logisticRegression } from './logistic.js';
import { nearestNeighbours, neighbourAccuracies } from './neighbours.js';
import type { Voting } from './protocols.js';
import type { EvaluationResult } from './results.js';
import type { Samples } from './samples.js';

/** What classifiers without a schedule reach on frozen features. */
export type ClassifierResult = {
  logistic: NonNullable<EvaluationResult['logistic']>;
  /** By k. */
  neighbours: EvaluationResult['neighbours'];
  /** The classes that they name; of the usual number of neighbours, null where there are none. */
  predicted: { logistic: Int32Array; neighbours: Int32Array | null };
};

/** The number of neighbours that is shown where it was measured (Caron et al. 2021). */
const USUAL_NEIGHBOURS = 20;

/**
 * Logistic regression and nearest neighbours on features; nothing of the test images plays a part in what is chosen.
 * @throws the signal's reason if it is aborted
 */
export async function classify(
  engine: Engine,
  train: Samples,
  test: Samples,
  classes: number,
  { voting, signal }: { voting?: Voting | undefined; signal?: AbortSignal | undefined } = {},
): Promise<ClassifierResult> {
  const { ranks, predicted, ...chosen } = await logisticRegression(engine, train, test, classes, signal);
  const found = await nearestNeighbours(engine, train, test, classes, voting);
  const neighbours = neighbourAccuracies(found);
  const usual = found.get(usualNeighbours(neighbours)?.k ?? 0);
  return {
    logistic: { ...accuracies(ranks), ...chosen },
    neighbours,
    predicted: { logistic: predicted, neighbours: usual?.predicted ?? null },
  };
}

/** One k for all, 20 or else the smallest: which of them happens to be best on the test images plays no part. */
export function usualNeighbours(neighbours: EvaluationResult['neighbours']) {
  return neighbours.find(({ k }) => k === USUAL_NEIGHBOURS) ?? neighbours[0];
}
