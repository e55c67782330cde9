import type { Engine } from '../engine/contract.js';
import type { FeatureKind } from '../plugin.js';
import { holdOut } from './held-out.js';
import { minimise } from './lbfgs.js';
import { type LinearClassifier, linearRanks } from './linear-ranks.js';
import { fittedSamples, preconditioner, prepareLoss } from './logistic-loss.js';
import { percentWithin } from './ranks.js';
import { sumsOf, transpose } from './ridge-sums.js';
import { type Samples, samplesOf } from './samples.js';
import { type Standardiser, standardiserOf } from './standardise.js';

/**
 * C to choose from, as in scikit-learn, strongest regularisation first. Weaker ones let the classifier read directions in
 * which the features hardly vary at all, and there a random network tells as much as a trained one.
 */
const CS = [1e-3, 1e-2, 0.1, 1, 10, 100] as const;
/** Where there are too few samples to choose; scikit-learn's default. */
const DEFAULT_C = 1;
/** The tolerance is one on the gradient of the mean loss; scikit-learn's is 1e-4. */
const STOP = { tolerance: 1e-5, mostIterations: 300 };

/** What was chosen on held-out samples. */
export interface LogisticChoice {
  features: FeatureKind;
  /** What the squared weights are divided by: scikit-learn's C. */
  c: number;
}

/**
 * Multinomial logistic regression, which has no schedule: the minimum of Σ cross-entropy + ‖W‖² / 2C on standardised
 * features. The features (last layer or last four) and C are those with the best top-1 on a random tenth of the training
 * samples, of equals the fewer features and the smaller C; with them, it is fitted again on all samples.
 * @returns for each test sample the rank of its class, from 0
 * @throws the signal's reason if it is aborted
 */
export async function logisticRegression(
  engine: Engine,
  train: Samples,
  test: Samples,
  classes: number,
  signal?: AbortSignal,
): Promise<LogisticChoice & { ranks: Int32Array }> {
  const fits = prepareFits(engine, classes, signal);
  const kinds: FeatureKind[] = train.layers === 1 ? ['last'] : ['last', 'last-4'];
  const { held, rest } = holdOut(train.rows);
  let best = { features: 'last' as FeatureKind, c: DEFAULT_C as number, top1: -1 };
  for (const features of held.length === 0 ? [] : kinds) {
    const samples = samplesOf(train, features);
    const standardiser = standardiserOf(samples);
    for await (const fit of fits(samples, standardiser, rest, CS)) {
      const top1 = percentWithin(await linearRanks(engine, fit, samples, standardiser, held, classes), 1);
      if (top1 > best.top1) best = { features, c: fit.c, top1 };
    }
  }
  const { features, c } = best;
  const samples = samplesOf(train, features);
  const standardiser = standardiserOf(samples);
  for await (const fit of fits(samples, standardiser, numbersBelow(train.rows), [c])) {
    const asked = samplesOf(test, features);
    const ranks = await linearRanks(engine, fit, asked, standardiser, numbersBelow(test.rows), classes);
    return { features, c, ranks };
  }
  throw new Error('nothing was fitted');
}

export interface LogisticFit extends LinearClassifier {
  c: number;
  /** Mean cross-entropy + ‖W‖² / (2 C M) */
  loss: number;
  iterations: number;
}

/** Prepares fits for an engine: of samples with one C after the other, each going on from the one before. */
export function prepareFits(engine: Engine, classes: number, signal?: AbortSignal) {
  const lossOf = prepareLoss(engine);
  return async function* fits(
    samples: Samples,
    standardiser: Standardiser,
    numbers: Uint32Array,
    cs: readonly number[],
  ): AsyncGenerator<LogisticFit> {
    const { width } = samples;
    const { products } = await sumsOf(engine, samples, standardiser, numbers, classes);
    const fitted = fittedSamples(samples, standardiser, numbers, classes);
    try {
      let point = new Float64Array(classes * width + classes);
      for (const c of cs) {
        const regularisation = 1 / (c * numbers.length);
        const precondition = preconditioner(products, fitted, regularisation);
        const minimum = await minimise(lossOf(fitted, regularisation, signal), point, precondition, STOP);
        point = minimum.point as Float64Array<ArrayBuffer>;
        const { loss, iterations } = minimum;
        const weight = Float32Array.from(transpose(point.subarray(0, classes * width), classes, width));
        yield { weight, bias: point.slice(classes * width), c, loss, iterations };
      }
    } finally {
      fitted.dispose();
    }
  };
}

function numbersBelow(count: number): Uint32Array {
  return Uint32Array.from({ length: count }, (_, at) => at);
}
