import { reasonOf } from '../base/errors.js';
import { RandomStream } from '../base/random.js';
import type { Engine } from '../engine/contract.js';
import { type Scalar, type Tensor, tf } from '../engine/tf.js';
import { createIjepa, initialWeights } from '../methods/ijepa/model.js';
import type { ModelSize } from '../nn/sizes.js';
import type { MaskIndices } from '../nn/tokens.js';
import { prepareObjective } from '../train/objective.js';
import { drawNumbers, predictionLoss, regularization, type Terms } from '../train/terms.js';
import type { Brought } from './brought.js';

/** Blocks, patches and features of what a loss is tried on; rows of what a regularizer is tried on. */
const [BLOCKS, PATCHES, WIDTH, ROWS] = [6, 5, 16, 12];
/** Part by which two ways to compute one number may differ in float32; finite differences are coarser. */
const TOLERANCE = 1e-4;
const DIFFERENCE = { step: 3e-3, tolerance: 0.02, scales: [0.5, 1, 2] };

/**
 * Holds a loss or a regularizer against the contract of plugins, on random numbers and on a small model.
 * @returns what it does wrong, one line each; nothing where it conforms
 */
export async function findTermFaults(engine: Engine, term: Brought<'loss' | 'regularizer'>): Promise<string[]> {
  tf.engine().startScope();
  try {
    return term.kind === 'loss' ? await findLossFaults(engine, term) : await findRegularizerFaults(engine, term);
  } finally {
    tf.engine().endScope();
  }
}

async function findLossFaults(engine: Engine, loss: Brought<'loss'>): Promise<string[]> {
  const random = randomTensors('loss');
  const [predicted, target] = [random(BLOCKS, PATCHES, WIDTH), random(BLOCKS, PATCHES, WIDTH)];
  const compute = (x: Tensor) => predictionLoss(loss, x, target);
  return collect({
    value: () => valueFaults(compute, predicted),
    gradient: () => gradientFaults(compute, predicted, random(BLOCKS, PATCHES, WIDTH)),
    'where the prediction is right': () => finiteFaults(compute, target),
    'blocks taken apart': async () => {
      const part = (x: Tensor, from: number, count: number) => tf.slice(x, [from, 0, 0], [count, PATCHES, WIDTH]);
      const partial = (from: number, count: number) =>
        numberOf(predictionLoss(loss, part(predicted, from, count), part(target, from, count)));
      const whole = await numberOf(compute(predicted));
      const mean = (2 * (await partial(0, 2)) + 4 * (await partial(2, 4))) / BLOCKS;
      return isNear(whole, mean) ? [] : [`is no mean over blocks: ${whole}, of parts ${mean}`];
    },
    'a batch in parts': () => partsFaults(engine, { loss, regularizer: null }),
  });
}

async function findRegularizerFaults(engine: Engine, regularizer: Brought<'regularizer'>): Promise<string[]> {
  const random = randomTensors('regularizer');
  const pooled = random(ROWS, WIDTH);
  const drawn = (step: number) => drawNumbers(regularizer, 0, step, WIDTH);
  const compute = (x: Tensor) => regularization(regularizer, x, drawn(1));
  return collect({
    draw: async () => {
      const [first, again] = [drawn(1), drawn(1)];
      const same = await Promise.all(
        Object.entries(first).map(async ([name, x]) => areEqual(await x.data(), (await again[name]?.data()) ?? [])),
      );
      return same.every(Boolean) ? [] : ['the same random numbers give other ones the second time'];
    },
    value: () => valueFaults(compute, pooled),
    gradient: () => gradientFaults(compute, pooled, random(ROWS, WIDTH)),
    'rows that are all alike': () => finiteFaults(compute, tf.ones([ROWS, WIDTH])),
    'order of rows': async () => {
      const [here, reversed] = [await numberOf(compute(pooled)), await numberOf(compute(tf.reverse(pooled, 0)))];
      return isNear(here, reversed) ? [] : [`matters: ${here}, the other way round ${reversed}`];
    },
    'a batch in parts': () => partsFaults(engine, { loss: NO_LOSS, regularizer }),
  });
}

/** Runs checks one after the other, up to one that throws: what cannot be computed cannot be checked further. */
async function collect(checks: Record<string, () => Promise<string[]>>): Promise<string[]> {
  const faults: string[] = [];
  for (const [what, check] of Object.entries(checks)) {
    try {
      for (const fault of await check()) faults.push(`${what}: ${fault}`);
    } catch (error) {
      return [...faults, `${what}: ${reasonOf(error)}`];
    }
  }
  return faults;
}

async function valueFaults(compute: (x: Tensor) => Scalar, x: Tensor): Promise<string[]> {
  const [first, again] = [await numberOf(compute(x)), await numberOf(compute(x))];
  if (!Number.isFinite(first)) throw new Error(`is ${first}`);
  return first === again ? [] : [`the same numbers give ${first}, then ${again}`];
}

async function finiteFaults(compute: (x: Tensor) => Scalar, x: Tensor): Promise<string[]> {
  const { value, grad } = tf.valueAndGrad(compute)(x);
  const [number, slopes] = [await numberOf(value as Scalar), await grad.data()];
  if (!Number.isFinite(number)) return [`gives ${number}`];
  return slopes.every(Number.isFinite) ? [] : ['the gradient is no number'];
}

/**
 * Compares the gradient along a direction with what the value does there, at several places: at some of them functions
 * may have a kink.
 */
async function gradientFaults(compute: (x: Tensor) => Scalar, given: Tensor, direction: Tensor): Promise<string[]> {
  const { step, tolerance, scales } = DIFFERENCE;
  const seen: string[] = [];
  for (const scale of scales) {
    const x = given.mul(scale);
    const at = (by: number) => numberOf(compute(x.add(direction.mul(by))));
    const numeric = ((await at(step)) - (await at(-step))) / (2 * step);
    const expected = await numberOf(tf.grad(compute)(x).mul(direction).sum());
    if (isNear(numeric, expected, tolerance)) return [];
    seen.push(`${expected.toPrecision(3)}, by finite differences ${numeric.toPrecision(3)}`);
  }
  return [`is ${seen.join('; elsewhere ')}`];
}

const SIZE: ModelSize = {
  imageSize: 8,
  patchSize: 4,
  encoder: { dim: 8, depth: 1, heads: 2, mlpRatio: 4 },
  predictor: { dim: 8, depth: 1, heads: 2, mlpRatio: 4 },
};
const IMAGES = 5;

/** Stands for the loss where a regularizer is tried. */
const NO_LOSS: Brought<'loss'> = {
  kind: 'loss',
  plugin: 'none',
  item: { name: 'none', summary: 'nothing', compute: (_tf, predicted) => predicted.mul(0).mean() },
};

/** Trains on a batch at once and in parts, in two steps; what is computed may not tell. */
async function partsFaults(engine: Engine, terms: Terms): Promise<string[]> {
  const model = createIjepa(SIZE);
  const weights = initialWeights(SIZE, 0, 'scaled');
  const stream = new RandomStream(0, 'conformance');
  const masks = (tokens: number): MaskIndices => ({
    masks: 1,
    images: IMAGES,
    tokens,
    indices: Int32Array.from({ length: IMAGES * tokens }, (_, at) => (tokens === 1 ? 3 : at % tokens)),
  });
  const pixels = IMAGES * SIZE.imageSize ** 2 * 3;
  const batch = () => ({
    images: Float32Array.from({ length: pixels }, () => stream.normal()),
    masks: [{ context: masks(2), targets: masks(1) }],
  });
  const prepare = (microBatchSize: number) =>
    prepareObjective(engine, model, { ...terms, regularizerWeight: 1, seed: 0, microBatchSize });
  const [whole, parts] = [prepare(IMAGES), prepare(2)];
  for (const step of [1, 2]) {
    const given = batch();
    const [a, b] = [await whole(weights, given, step), await parts(weights, given, step)];
    const [valueA, valueB] = [await numberOf(a.loss), await numberOf(b.loss)];
    if (!isNear(valueA, valueB)) return [`give ${valueB}, at once ${valueA}`];
    for (const [name, gradient] of Object.entries(a.gradients)) {
      const [x, y] = [await gradient.data(), (await b.gradients[name]?.data()) ?? []];
      const scale = Math.max(1, ...x.map(Math.abs));
      if (!x.every((value, at) => Math.abs(value - Number(y[at])) <= TOLERANCE * scale))
        return [`give another gradient than at once (${name})`];
    }
  }
  return [];
}

function randomTensors(name: string): (...shape: number[]) => Tensor {
  const stream = new RandomStream(0, `conformance ${name}`);
  return (...shape) => {
    const size = shape.reduce((product, side) => product * side, 1);
    return tf.tensor(
      Float32Array.from({ length: size }, () => stream.normal()),
      shape,
    );
  };
}

function areEqual(a: ArrayLike<number>, b: ArrayLike<number>): boolean {
  return a.length === b.length && Array.from(a).every((value, at) => Object.is(value, b[at]));
}

function isNear(a: number, b: number, tolerance = TOLERANCE): boolean {
  return Math.abs(a - b) <= tolerance * Math.max(1e-2, Math.abs(a), Math.abs(b));
}

async function numberOf(scalar: Scalar): Promise<number> {
  return (await scalar.data())[0] as number;
}
