import { reasonOf } from '../base/errors.js';
import { type Scalar, tf } from '../engine/tf.js';

/** Fraction by which two ways to compute one number may differ in float32; finite differences are coarser. */
const TOLERANCE = 1e-4;
/** What numbers are measured by at least. */
const LEAST = 1e-2;
const SLOPE_TOLERANCE = 0.02;
/** How far finite differences go to each side. */
const STEP = 3e-3;
/** Where a value is steep, steps are shorter: its slope changes, too. */
const MOST_CHANGE = 0.02;

/** What is looked for, and what is wrong with it, one line each. */
export type Checks = Readonly<Record<string, () => Promise<readonly string[]> | readonly string[]>>;

/**
 * Runs checks one after the other, up to one that throws: what cannot be computed cannot be checked further. Tensors that
 * they make are disposed of.
 */
export async function runChecks(checks: Checks): Promise<string[]> {
  const faults: string[] = [];
  tf.engine().startScope();
  try {
    for (const [what, check] of Object.entries(checks)) {
      try {
        for (const fault of await check()) faults.push(`${what}: ${fault}`);
      } catch (error) {
        return [...faults, `${what}: ${reasonOf(error)}`];
      }
    }
  } finally {
    tf.engine().endScope();
  }
  return faults;
}

export function isNear(a: number, b: number, tolerance = TOLERANCE): boolean {
  return Math.abs(a - b) <= tolerance * Math.max(LEAST, Math.abs(a), Math.abs(b));
}

/** Whether all numbers are near, measured by the largest, or by another that is larger. */
export function areNear(a: ArrayLike<number>, b: ArrayLike<number>, other = 0): boolean {
  const largest = Math.max(largestOf(a), LEAST, other);
  if (a.length !== b.length) return false;
  return Array.from(a).every((value, at) => Math.abs(value - b[at]) <= TOLERANCE * largest);
}

export function largestOf(numbers: ArrayLike<number>): number {
  return Array.from(numbers).reduce((most, value) => Math.max(most, Math.abs(value)), 0);
}

/**
 * Holds a derivative along a line against what the value does there.
 * @param valueAt the value at a distance along the line
 * @returns null where both agree
 */
export async function slopeFault(valueAt: (distance: number) => Promise<number>, derivative: number) {
  const step = Math.min(STEP, MOST_CHANGE / Math.abs(derivative));
  const numeric = ((await valueAt(step)) - (await valueAt(-step))) / (2 * step);
  if (isNear(numeric, derivative, SLOPE_TOLERANCE)) return null;
  return `${derivative.toPrecision(3)}, by finite differences ${numeric.toPrecision(3)}`;
}

export async function numberOf(scalar: Scalar): Promise<number> {
  return (await scalar.data())[0];
}

/** What is wrong with a number that is computed twice. */
export async function valueFaults(compute: () => Promise<number>): Promise<string[]> {
  const [first, again] = [await compute(), await compute()];
  if (!Number.isFinite(first)) throw new Error(`is ${first}`);
  return first === again ? [] : [`the same numbers give ${first}, then ${again}`];
}
