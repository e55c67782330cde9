import { addScaled } from './linear.js';

/** A point's loss and gradient. */
interface Evaluation {
  loss: number;
  /** [P] */
  gradient: Float64Array;
}

interface Minimum extends Evaluation {
  /** [P] */
  point: Float64Array;
  iterations: number;
}

/** Multiplies a vector [P] by a fixed, positive definite guess at the inverse Hessian. */
export type Precondition = (vector: Float64Array) => Float64Array;

/** Steps that are remembered. */
const MEMORY = 10;
/** The part of the decrease that the gradient promises which a step has to keep (Armijo). */
const SUFFICIENT = 1e-4;
/** Differences of a loss that are rounding errors of single precision. */
const ROUNDING = 1e-7;
const MIN_STEP = 1e-6;

/**
 * Minimises a smooth convex function by L-BFGS (Nocedal and Wright 2006, algorithm 7.5) with a preconditioner: the inverse
 * Hessian that steps are corrected from is `precondition`, scaled so that it agrees with the last step.
 * @param start [P]
 * @param stop `tolerance`: ends when no part of the gradient is larger
 */
export async function minimise(
  evaluate: (point: Float64Array) => Promise<Evaluation>,
  start: Float64Array,
  precondition: Precondition,
  { tolerance, maxIterations }: { tolerance: number; maxIterations: number },
): Promise<Minimum> {
  const history: Correction[] = [];
  let current = { point: start, ...(await evaluate(start)) };
  let iterations = 0;
  while (iterations < maxIterations && largest(current.gradient) > tolerance) {
    iterations++;
    const { point, loss, gradient } = current;
    const direction = descentDirection(gradient, history, precondition);
    const decrease = dot(direction, gradient);
    const evaluateAt = async (length: number) => {
      const moved = sum(point, direction, length);
      return { point: moved, ...(await evaluate(moved)) };
    };
    let size = 1;
    let next = await evaluateAt(size);
    while (!(next.loss <= loss + SUFFICIENT * size * decrease + ROUNDING * Math.abs(loss)) && size > MIN_STEP) {
      size /= 2;
      next = await evaluateAt(size);
    }
    if (!(size > MIN_STEP)) break; // nothing but rounding errors is left
    const [step, change] = [sum(next.point, point, -1), sum(next.gradient, gradient, -1)];
    const curvature = dot(step, change);
    // Rounding errors can make it negative, although the function is convex.
    if (curvature > 0) history.push({ step, change, rho: 1 / curvature });
    if (history.length > MEMORY) history.shift();
    current = next;
  }
  return { ...current, iterations };
}

/** A step s and the change y of the gradient over it; rho is 1 / sᵀy. */
interface Correction {
  step: Float64Array;
  change: Float64Array;
  rho: number;
}

/** -H g by the two loops over the remembered steps. */
function descentDirection(
  gradient: Float64Array,
  history: readonly Correction[],
  precondition: Precondition,
): Float64Array {
  let vector: Float64Array = gradient.slice();
  const factors: number[] = [];
  for (const { step, change, rho } of history.toReversed()) {
    const factor = rho * dot(step, vector);
    factors.push(factor);
    addScaled(vector, change, -factor);
  }
  vector = precondition(vector);
  const last = history.at(-1);
  if (last) {
    const scale = 1 / (last.rho * dot(last.change, precondition(last.change)));
    vector = vector.map((value) => value * scale);
  }
  for (const { step, change, rho } of history) {
    addScaled(vector, step, (factors.pop() as number) - rho * dot(change, vector));
  }
  return vector.map((value) => -value);
}

function dot(a: Float64Array, b: Float64Array): number {
  let total = 0;
  for (let at = 0; at < a.length; at++) total += (a[at] as number) * (b[at] as number);
  return total;
}

/** a + factor b */
function sum(a: Float64Array, b: Float64Array, factor: number): Float64Array {
  return a.map((value, at) => value + factor * (b[at] as number));
}

function largest(vector: Float64Array): number {
  return vector.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
}
