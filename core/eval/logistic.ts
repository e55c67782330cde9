import { setImmediate } from 'node:timers/promises';
import type { FeatureKind } from '../contract/data-sets.js';
import type { Engine } from '../engine/contract.js';
import { type Tensor1D, type Tensor2D, tf } from '../engine/tf.js';
import type { Ranked } from './accuracy.js';
import { bestChoice, judgeLinear, notFinite, productsOf } from './linear.js';
import { holdOut, type Inputs, inputCount, inputWidth, pieces, type Samples, standardise } from './samples.js';
import { addScaled, identity, minimise, type Precondition, solvePositive } from './solvers.js';

/*
 * Multinomial logistic regression.
 *
 * Letters: M samples, K width of the inputs, C classes; X inputs, W weights, b intercepts; λ regularisation.
 */

/** C to choose from, as in scikit-learn, strongest regularisation first; README.md says why there are no weaker ones. */
const CS = [1e-3, 1e-2, 0.1, 1, 10, 100] as const;
/** Where there are too few samples to choose; scikit-learn's default of C. */
const DEFAULT_CHOICE: LogisticChoice = { features: 'last', c: 1 };
/** The tolerance is one on the gradient of the mean loss; scikit-learn's is 1e-4. */
const STOP = { tolerance: 1e-5, maxIterations: 300 };
const PIECE_ROWS = 4096;
/** Columns whose products a block of the preconditioner knows: inverting more takes too long. */
const BLOCK = 512;
/** Of the covariance's largest eigenvalue, which the number of features bounds. */
const PRODUCT_ROUNDING = 1e-7;

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
 * @returns what was chosen, and how it judges the test samples
 * @throws the signal's reason if it is aborted
 */
export async function logisticRegression(
  engine: Engine,
  train: Samples,
  test: Samples,
  classes: number,
  signal?: AbortSignal,
): Promise<LogisticChoice & Ranked> {
  const fits = prepareFits(engine, classes, signal);
  const kinds: FeatureKind[] = train.layers === 1 ? ['last'] : ['last', 'last-4'];
  const { held, rest } = holdOut(train.rows);
  async function* candidates() {
    for (const features of kinds) yield* fits({ ...standardise(train, features), numbers: rest }, CS);
  }
  const choice = await bestChoice<LogisticChoice>(engine, candidates(), held, DEFAULT_CHOICE);
  const inputs = standardise(train, choice.features);
  for await (const fit of fits(inputs, [choice.c])) {
    return { ...choice, ...(await judgeLinear(engine, fit, { ...inputs, samples: test })) };
  }
  throw new Error('nothing was fitted');
}

/** Samples to fit: [B, K], [B] */
type Batch = { x: Tensor2D; labels: Tensor1D };

/** Prepares fits for an engine: with one C after the other, each going on from the one before. */
export function prepareFits(engine: Engine, classes: number, signal?: AbortSignal) {
  const computePiece = engine.compile((x: Tensor2D, labels: Tensor1D, weight: Tensor2D, bias: Tensor1D) =>
    tf.tidy(() => {
      const logits = tf.matMul(x, weight, false, true).add(bias.reshape([1, classes])); // [B, C]
      const target = tf.oneHot(labels, classes).cast('float32');
      const losses = tf.logSoftmax(logits).mul(target).sum(1).neg(); // [B]
      const grad = tf.softmax(logits).sub(target) as Tensor2D; // [B, C]
      const ones = tf.ones([1, x.shape[0]]) as Tensor2D;
      return { losses, weight: tf.matMul(grad, x, true, false), bias: tf.matMul(ones, grad) };
    }),
  );

  /**
   * L = -1/M Σ log softmax(X Wᵀ + b)[y] + λ/2 ‖W‖², the intercepts not regularised. A point is W [C, K], then b [C].
   * Products are of single precision, their sums over pieces of double.
   */
  async function evaluate(batches: readonly Batch[], rows: number, regularisation: number, point: Float64Array) {
    const size = point.length - classes;
    const weight = tf.tensor2d(Float32Array.from(point.subarray(0, size)), [classes, size / classes]);
    const bias = tf.tensor1d(Float32Array.from(point.subarray(size)));
    const gradient = new Float64Array(point.length);
    let loss = 0;
    try {
      for (const { x, labels } of batches) {
        await setImmediate(); // lets timers and interrupts in
        signal?.throwIfAborted();
        const result = await computePiece(x, labels, weight, bias);
        for (const value of await result.losses.data()) loss += value / rows;
        addScaled(gradient, await result.weight.data(), 1 / rows);
        addScaled(gradient, await result.bias.data(), 1 / rows, size);
        tf.dispose(result);
      }
    } finally {
      tf.dispose([weight, bias]);
    }
    for (let at = 0; at < size; at++) {
      const value = point[at];
      loss += (regularisation / 2) * value * value;
      gradient[at] += regularisation * value;
    }
    return { loss, gradient };
  }

  /** @returns classifiers, each with its loss: mean cross-entropy + ‖W‖² / (2 C M) */
  return async function* fits(inputs: Inputs, cs: readonly number[]) {
    const width = inputWidth(inputs);
    const rows = inputCount(inputs);
    const products = await productsOf(engine, inputs);
    const batches = Array.from(pieces(inputs, PIECE_ROWS), ({ rows, shape, labels }) => ({
      x: tf.tensor2d(rows, shape),
      labels: tf.tensor1d(labels, 'int32'),
    }));
    try {
      let point: Float64Array = new Float64Array(classes * width + classes);
      for (const c of cs) {
        const regularisation = 1 / (c * rows);
        const precondition = preconditioner(products, rows, classes, regularisation);
        const minimum = await minimise((at) => evaluate(batches, rows, regularisation, at), point, precondition, STOP);
        point = minimum.point;
        const weightAt = (_: number, at: number) => minimum.point[(at % classes) * width + Math.floor(at / classes)];
        const weight = new Float32Array(classes * width).map(weightAt); // [C, K] -> [K, C]
        const choice = { features: inputs.features, c };
        yield { inputs, choice, weight, bias: point.slice(classes * width), loss: minimum.loss };
      }
    } finally {
      tf.dispose(batches);
    }
  };
}

/**
 * A guess at the inverse Hessian: (h Σ + λ I)⁻¹ for the weights of every class, with the features' covariance Σ in blocks of
 * 512 columns, and 1/h for the intercepts. h = (C - 1)/C² is the curvature of the softmax where all classes are alike.
 * Without it, features that nearly repeat one another, as a network's do, take thousands of steps.
 * @param products Σ x xᵀ over the fitted, standardised samples [K, K]
 */
function preconditioner(products: Float64Array, rows: number, classes: number, regularisation: number): Precondition {
  const width = Math.sqrt(products.length);
  const curvature = (classes - 1) / classes ** 2;
  // The covariance's own rounding errors, in single precision, must not be taken for directions.
  const damping = Math.max(regularisation, PRODUCT_ROUNDING * curvature * width);
  const blocks = Array.from({ length: Math.ceil(width / BLOCK) }, (_, block) => {
    const start = block * BLOCK;
    const size = Math.min(BLOCK, width - start);
    const unit = identity(size);
    const matrix = unit.map((one, at) => {
      const product = products[(start + Math.floor(at / size)) * width + start + (at % size)];
      return (curvature * product) / rows + one * damping;
    });
    const inverse = solvePositive(matrix, unit, size);
    if (!inverse) throw notFinite();
    return { start, size, inverse };
  });
  return (vector) => {
    const result = vector.map((value) => value / curvature); // right for the intercepts
    for (let first = 0; first < classes * width; first += width) {
      for (const { start, size, inverse } of blocks) multiply(inverse, size, vector, first + start, result);
    }
    return result;
  };
}

/**
 * result[from + row] = Σ matrix[row, at] vector[from + at], four rows at a time: four independent accumulators halve
 * the time, for the same bits.
 * @param matrix [size, size]
 */
function multiply(matrix: Float64Array, size: number, vector: Float64Array, from: number, result: Float64Array): void {
  let row = 0;
  for (; row + 4 <= size; row += 4) {
    const [first, second, third, fourth] = [row * size, (row + 1) * size, (row + 2) * size, (row + 3) * size];
    let [a, b, c, d] = [0, 0, 0, 0];
    for (let at = 0; at < size; at++) {
      const value = vector[from + at];
      a += value * matrix[first + at];
      b += value * matrix[second + at];
      c += value * matrix[third + at];
      d += value * matrix[fourth + at];
    }
    result[from + row] = a;
    result[from + row + 1] = b;
    result[from + row + 2] = c;
    result[from + row + 3] = d;
  }
  for (; row < size; row++) {
    let sum = 0;
    for (let at = 0; at < size; at++) sum += vector[from + at] * matrix[row * size + at];
    result[from + row] = sum;
  }
}
