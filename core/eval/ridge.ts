import type { Engine } from '../engine/contract.js';
import { holdOut } from './held-out.js';
import { linearRanks } from './linear-ranks.js';
import { percentWithin } from './ranks.js';
import { ridgeSolution, sumsOf, together } from './ridge-sums.js';
import type { Samples } from './samples.js';
import { standardiserOf } from './standardise.js';

/** Regularisation to choose from, in units of the features' variance, which is 1; strongest first. */
export const REGULARISATIONS = [1, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0001] as const;
/** Where there are too few samples to choose. */
const DEFAULT_REGULARISATION = 0.1;

/**
 * A linear classifier in closed form: ridge regression of the one-hot classes on the last layer's standardised features.
 * The regularisation is the one with the best top-1 on a random tenth of the training samples, of equals the strongest;
 * with it, the classifier is fitted again on all of them.
 *
 * Several views of an image are samples of their own here, so that those held out may have kin among the rest.
 * @returns for each test sample the rank of its class, from 0
 */
export async function ridgeHead(engine: Engine, train: Samples, test: Samples, classes: number): Promise<Int32Array> {
  if (train.width !== test.width) throw new Error(`expected features of width ${train.width}, received ${test.width}`);
  const standardiser = standardiserOf(train);
  const { held, rest } = holdOut(train.rows);
  const fitted = await sumsOf(engine, train, standardiser, rest, classes);
  const heldSums = await sumsOf(engine, train, standardiser, held, classes);
  let best = { regularisation: DEFAULT_REGULARISATION, top1: -1 };
  for (const regularisation of held.length > 0 ? REGULARISATIONS : []) {
    const classifier = ridgeSolution(fitted, regularisation);
    if (!classifier) continue;
    const top1 = percentWithin(await linearRanks(engine, classifier, train, standardiser, held, classes), 1);
    if (top1 > best.top1) best = { regularisation, top1 };
  }
  const classifier = ridgeSolution(together(fitted, heldSums), best.regularisation);
  if (!classifier) throw new Error('the features of the training samples are not finite numbers');
  const all = Uint32Array.from({ length: test.rows }, (_, index) => index);
  return linearRanks(engine, classifier, test, standardiser, all, classes);
}
