import { reasonOf } from '../base/errors.js';
import { RandomStream } from '../base/random.js';
import { type Scalar, type Tensor, tf } from '../engine/tf.js';
import { predictionTerm, regularizerTerm } from '../methods/losses.js';
import type { Part } from '../methods/method.js';
import type { Extension } from './extension.js';

/** Blocks, patches and features of what a loss is tried on; rows of what a regularizer is tried on. */
const [BLOCKS, PATCHES, WIDTH, ROWS] = [6, 5, 16, 12];
/** Part by which two ways to compute one number may differ in float32; finite differences are coarser. */
const TOLERANCE = 1e-4;
const DIFFERENCE = { step: 3e-3, tolerance: 0.02, scales: [0.5, 1, 2] };

/**
 * Holds a loss or a regularizer against the contract of plugins, on random numbers and on a small model.
 * @returns what it does wrong, one line each; nothing where it conforms
 */
export async function findTermFaults(term: Extension<'loss' | 'regularizer'>): Promise<string[]> {
  tf.engine().startScope();
  try {
    return term.kind === 'loss' ? await findLossFaults(term) : await findRegularizerFaults(term);
  } finally {
    tf.engine().endScope();
  }
}

async function findLossFaults(loss: Extension<'loss'>): Promise<string[]> {
  const random = randomTensors('loss');
  const [predicted, target] = [random(BLOCKS, PATCHES, WIDTH), random(BLOCKS, PATCHES, WIDTH)];
  const term = predictionTerm<Tensor, Tensor>(loss, (outputs, targets) => [outputs, targets]);
  const distance = (x: Tensor, y: Tensor) => term.compute(x, y, {} as Part);
  const compute = (x: Tensor) => distance(x, target);
  return collect({
    value: () => valueFaults(compute, predicted),
    gradient: () => gradientFaults(compute, predicted, random(BLOCKS, PATCHES, WIDTH)),
    'where the prediction is right': () => finiteFaults(compute, target),
    'blocks taken apart': async () => {
      const part = (x: Tensor, from: number, count: number) => tf.slice(x, [from, 0, 0], [count, PATCHES, WIDTH]);
      const partial = (from: number, count: number) =>
        numberOf(distance(part(predicted, from, count), part(target, from, count)));
      const whole = await numberOf(compute(predicted));
      const mean = (2 * (await partial(0, 2)) + 4 * (await partial(2, 4))) / BLOCKS;
      return isNear(whole, mean) ? [] : [`is no mean over blocks: ${whole}, of parts ${mean}`];
    },
  });
}

async function findRegularizerFaults(regularizer: Extension<'regularizer'>): Promise<string[]> {
  const random = randomTensors('regularizer');
  const pooled = random(ROWS, WIDTH);
  const term = regularizerTerm<Tensor, Tensor>(regularizer, 1, (outputs) => outputs, WIDTH);
  const drawn = (step: number) =>
    Object.fromEntries(
      Object.entries(term.draw?.(new RandomStream(0, 'regularizer', step)) ?? {}).map(([name, { shape, values }]) => [
        name,
        tf.tensor(values, [...shape]),
      ]),
    );
  const compute = (x: Tensor) => term.compute(x, drawn(1));
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
