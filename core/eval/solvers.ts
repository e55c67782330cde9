/*
 * Systems with a symmetric positive definite matrix A [K, K], by its factor L of A = L Lᵀ, in double precision. The library
 * ml-matrix takes twice as long. All loops run along rows, which lie in one piece in memory.
 */

/**
 * A⁻¹ B
 * @param a A [K, K]; only its lower half is read
 * @param b B [K, C]
 * @returns [K, C], or null where A is not positive definite
 */
export function solvePositive(a: Float64Array, b: Float64Array, size: number): Float64Array | null {
  const lower = factorise(a, size);
  if (!lower) return null;
  const x = substituteForward(lower, b.slice(), size);
  const columns = b.length / size;
  for (let row = size - 1; row >= 0; row--) {
    for (let k = row + 1; k < size; k++) subtractRow(x, columns, k, lower[k * size + row], row);
    scaleRow(x, columns, row, 1 / lower[row * size + row]); // Lᵀ X = Y
  }
  return x;
}

/** L⁻¹ [K, K], or null where A is not positive definite. */
export function invertedFactor(a: Float64Array, size: number): Float64Array | null {
  const lower = factorise(a, size);
  return lower && substituteForward(lower, identity(size), size, (k) => k + 1);
}

/** I [size, size] */
export function identity(size: number): Float64Array {
  return Float64Array.from({ length: size * size }, (_, at) => Number(at % (size + 1) === 0));
}

/**
 * L⁻¹ B in place of B.
 * @param used how many columns of row k of the result are not 0; default: all
 */
function substituteForward(lower: Float64Array, b: Float64Array, size: number, used?: (k: number) => number) {
  const columns = b.length / size;
  for (let row = 0; row < size; row++) {
    for (let k = 0; k < row; k++) subtractRow(b, columns, k, lower[row * size + k], row, used?.(k));
    scaleRow(b, columns, row, 1 / lower[row * size + row]);
  }
  return b;
}

/** L [K, K], or null where A is not positive definite. */
function factorise(a: Float64Array, size: number): Float64Array | null {
  const lower = a.slice();
  for (let row = 0; row < size; row++) {
    for (let column = 0; column <= row; column++) {
      let sum = lower[row * size + column];
      for (let k = 0, r = row * size, c = column * size; k < column; k++, r++, c++) {
        sum -= lower[r] * lower[c];
      }
      if (column === row && !(sum > 0)) return null;
      lower[row * size + column] = column < row ? sum / lower[column * size + column] : Math.sqrt(sum);
    }
  }
  return lower;
}

/** x[to] -= factor x[from] */
function subtractRow(x: Float64Array, columns: number, from: number, factor: number, to: number, used = columns): void {
  for (let c = 0, f = from * columns, t = to * columns; c < used; c++, f++, t++) {
    x[t] -= factor * x[f];
  }
}

function scaleRow(x: Float64Array, columns: number, row: number, factor: number): void {
  for (let t = row * columns; t < (row + 1) * columns; t++) x[t] *= factor;
}

/** A point's loss and gradient [P]. */
type Evaluation = { loss: number; gradient: Float64Array };

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
): Promise<Evaluation & { point: Float64Array; iterations: number }> {
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
type Correction = { step: Float64Array; change: Float64Array; rho: number };

/** -H g by the two loops over the remembered steps. */
function descentDirection(gradient: Float64Array, history: readonly Correction[], precondition: Precondition) {
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
  for (let at = 0; at < a.length; at++) total += a[at] * b[at];
  return total;
}

/** a + factor b */
function sum(a: Float64Array, b: Float64Array, factor: number): Float64Array {
  return a.map((value, at) => value + factor * b[at]);
}

function largest(vector: Float64Array): number {
  return vector.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
}

/** sums[start + i] += factor addends[i] */
export function addScaled(sums: Float64Array, addends: ArrayLike<number>, factor = 1, start = 0): void {
  for (let at = 0; at < addends.length; at++) {
    sums[start + at] += factor * addends[at];
  }
}
