import { RandomStream } from '../base/random.js';
import { type Scalar, type Tensor, tf } from '../engine/tf.js';
import { drawnTensors, normalTensors } from '../methods/batch.js';
import { drawNumbers, predictionLoss, regularizationOf } from '../methods/losses.js';
import type { Extension } from '../plugins/plugin.js';
import { type Checks, isNear, numberOf, runChecks, slopeFault, valueFaults } from './numbers.js';

/** Blocks, patches and features of what a loss is tried on; rows of what a regularizer is tried on. */
const [BLOCKS, PATCHES, WIDTH, ROWS] = [6, 5, 16, 12];
/** Places at which the gradient is looked at, as factors of random numbers: at some, functions may have a kink. */
const PLACES = [0.5, 1, 2];

/**
 * Holds a loss or a regularizer against the contract of plugins, on random numbers.
 * @returns what it does wrong, one line each; nothing where it conforms
 */
export function findObjectiveFaults(objective: Extension<'loss' | 'regularizer'>): Promise<string[]> {
  return runChecks(objective.kind === 'loss' ? lossChecks(objective) : regularizerChecks(objective));
}

function lossChecks(loss: Extension<'loss'>): Checks {
  const random = normalTensors(new RandomStream(0, 'check loss'));
  const [predicted, target] = [random(BLOCKS, PATCHES, WIDTH), random(BLOCKS, PATCHES, WIDTH)];
  const compute = (x: Tensor) => predictionLoss(loss, x, target);
  return {
    value: () => valueFaults(() => numberOf(compute(predicted))),
    gradient: () => gradientFaults(compute, predicted, random(BLOCKS, PATCHES, WIDTH)),
    'where the prediction is right': () => finiteFaults(compute, target),
    'blocks taken apart': async () => {
      const [few, rest] = [tf.split(predicted, [2, 4], 0), tf.split(target, [2, 4], 0)];
      const values = await Promise.all(few.map((part, at) => numberOf(predictionLoss(loss, part, rest[at]))));
      const whole = await numberOf(compute(predicted));
      const mean = (2 * values[0] + 4 * values[1]) / BLOCKS;
      return isNear(whole, mean) ? [] : [`is no mean over blocks: ${whole}, of parts ${mean}`];
    },
  };
}

function regularizerChecks(regularizer: Extension<'regularizer'>): Checks {
  const random = normalTensors(new RandomStream(0, 'check regularizer'));
  const pooled = random(ROWS, WIDTH);
  const draw = () => drawNumbers(regularizer, new RandomStream(0, 'regularizer', 1), WIDTH);
  const compute = (x: Tensor) => regularizationOf(regularizer, x, drawnTensors(draw()));
  return {
    draw: () => {
      const [first, again] = [JSON.stringify(draw()), JSON.stringify(draw())];
      return first === again ? [] : ['the same random numbers give other ones the second time'];
    },
    value: () => valueFaults(() => numberOf(compute(pooled))),
    gradient: () => gradientFaults(compute, pooled, random(ROWS, WIDTH)),
    'rows that are all alike': () => finiteFaults(compute, tf.ones([ROWS, WIDTH])),
    'order of rows': async () => {
      const [here, reversed] = [await numberOf(compute(pooled)), await numberOf(compute(tf.reverse(pooled, 0)))];
      return isNear(here, reversed) ? [] : [`matters: ${here}, the other way round ${reversed}`];
    },
  };
}

async function finiteFaults(compute: (x: Tensor) => Scalar, x: Tensor): Promise<string[]> {
  const { value, grad } = tf.valueAndGrad(compute)(x);
  const [number, gradient] = [await numberOf(value as Scalar), await grad.data()];
  if (!Number.isFinite(number)) return [`gives ${number}`];
  return gradient.every(Number.isFinite) ? [] : ['the gradient is NaN or infinite'];
}

async function gradientFaults(compute: (x: Tensor) => Scalar, given: Tensor, direction: Tensor): Promise<string[]> {
  const seen: string[] = [];
  for (const scale of PLACES) {
    const x = given.mul(scale);
    const derivative = await numberOf(tf.grad(compute)(x).mul(direction).sum());
    const fault = await slopeFault((distance) => numberOf(compute(x.add(direction.mul(distance)))), derivative);
    if (fault === null) return [];
    seen.push(fault);
  }
  return [`is ${seen.join('; elsewhere ')}`];
}
