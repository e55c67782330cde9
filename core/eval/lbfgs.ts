/** A point's loss and gradient. */
export interface Evaluation {
  loss: number;
  /** [P] */
  gradient: Float64Array;
}

export interface MinimiserSettings {
  /** Ends when no part of the gradient is larger. */
  tolerance: number;
  mostIterations: number;
}

export interface Minimum extends Evaluation {
  /** [P] */
  point: Float64Array;
  iterations: number;
}

/** Steps that are remembered. */
const MEMORY = 10;
/** The part of the slope's promise that a step has to keep (Armijo). */
const SUFFICIENT = 1e-4;
/** Differences of a loss that are rounding errors of single precision. */
const ROUNDING = 1e-7;
const SMALLEST_STEP = 1e-6;

/**
 * Minimises a smooth convex function by L-BFGS (Nocedal and Wright 2006, algorithm 7.5) with a preconditioner: the inverse
 * Hessian that steps are corrected from is `precondition`, scaled so that it agrees with the last step.
 * @param start [P]
 * @param precondition multiplies a vector [P] by a fixed, positive definite guess at the inverse Hessian
 */
export async function minimise(
  evaluate: (point: Float64Array) => Promise<Evaluation>,
  start: Float64Array,
  precondition: (vector: Float64Array) => Promise<Float64Array>,
  { tolerance, mostIterations }: MinimiserSettings,
): Promise<Minimum> {
  const history: Correction[] = [];
  let point = start;
  let { loss, gradient } = await evaluate(point);
  let iterations = 0;
  while (iterations < mostIterations && largest(gradient) > tolerance) {
    iterations++;
    const direction = await descentDirection(gradient, history, precondition);
    const slope = dot(direction, gradient);
    let size = 1;
    let next = await evaluateAt(size);
    while (!(next.loss <= loss + SUFFICIENT * size * slope + ROUNDING * Math.abs(loss)) && size > SMALLEST_STEP) {
      size /= 2;
      next = await evaluateAt(size);
    }
    if (!(size > SMALLEST_STEP)) break; // nothing but rounding errors is left
    remember(history, minus(next.point, point), minus(next.gradient, gradient));
    ({ point, loss, gradient } = next);

    async function evaluateAt(length: number) {
      const moved = point.map((value, at) => value + length * (direction[at] as number));
      return { point: moved, ...(await evaluate(moved)) };
    }
  }
  return { point, loss, gradient, iterations };
}

/** A step s and the change y of the gradient over it; rho is 1 / sᵀy. */
interface Correction {
  step: Float64Array;
  change: Float64Array;
  rho: number;
}

/** -H g by the two loops over the remembered steps. */
async function descentDirection(
  gradient: Float64Array,
  history: readonly Correction[],
  precondition: (vector: Float64Array) => Promise<Float64Array>,
): Promise<Float64Array> {
  let vector: Float64Array = gradient.slice();
  const factors: number[] = [];
  for (const { step, change, rho } of history.toReversed()) {
    const factor = rho * dot(step, vector);
    factors.push(factor);
    addTo(vector, change, -factor);
  }
  vector = await precondition(vector);
  const last = history.at(-1);
  if (last) {
    const scale = 1 / (last.rho * dot(last.change, await precondition(last.change)));
    vector = vector.map((value) => value * scale);
  }
  for (const { step, change, rho } of history) {
    const factor = (factors.pop() as number) - rho * dot(change, vector);
    addTo(vector, step, factor);
  }
  return vector.map((value) => -value);
}

function remember(history: Correction[], step: Float64Array, change: Float64Array): void {
  const curvature = dot(step, change);
  if (!(curvature > 0)) return; // rounding errors of a convex function
  history.push({ step, change, rho: 1 / curvature });
  if (history.length > MEMORY) history.shift();
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let at = 0; at < a.length; at++) sum += (a[at] as number) * (b[at] as number);
  return sum;
}

function minus(a: Float64Array, b: Float64Array): Float64Array {
  return a.map((value, at) => value - (b[at] as number));
}

function addTo(sum: Float64Array, addend: Float64Array, times: number): void {
  for (let at = 0; at < sum.length; at++) sum[at] = (sum[at] as number) + times * (addend[at] as number);
}

function largest(vector: Float64Array): number {
  return vector.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
}
