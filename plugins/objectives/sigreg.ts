import type { RandomNumbers, Regularizer } from '../../core/plugin.js';

/** Directions on which the features are projected; other ones in every step. */
const DIRECTIONS = 256;
/** The integral's points from -5 to 5, as the paper has them; the half above 0 is enough, since both halves are alike. */
const POINTS = 17;
const LIMIT = 5;
const SPACING = (2 * LIMIT) / (POINTS - 1);
const ABOVE_ZERO = Array.from({ length: (POINTS - 1) / 2 }, (_, at) => SPACING * (at + 1));

/**
 * SIGReg, sketched isotropic Gaussian regularisation (Balestriero and LeCun 2025, LeJEPA, arXiv 2511.08544): features
 * are to look like draws from a standard normal distribution, seen from any direction.
 *
 * mean_a n ∫ |φ_a(t) - φ(t)|² φ(t) dt with φ_a(t) = 1/n Σ_i exp(i t a·z_i), the characteristic function of the rows'
 * projections on the unit vector a, and φ(t) = exp(-t²/2), that of a standard normal distribution: the statistic of
 * Epps and Pulley. The integral is a trapezoidal sum over 17 points from -5 to 5.
 *
 * Draws from a standard normal distribution give √(2π) - √(2π/3) = 1.06 on the average, whatever n; n rows of zeros give
 * 0.409 n.
 *
 * Letters: n rows of D features, A directions, T points above 0.
 */
export const sigreg: Regularizer<'directions'> = {
  name: 'sigreg',
  summary: 'features are to look like a standard normal distribution from every direction: SIGReg of LeJEPA',
  draw: (random, width) => ({ directions: { shape: [width, DIRECTIONS], values: unitColumns(random, width) } }),
  compute(tf, pooled, { directions }) {
    const [rows] = pooled.shape as [number, number];
    const projected = tf.matMul(pooled, directions); // [n, A]
    const phases = projected.expandDims(2).mul(tf.tensor1d(ABOVE_ZERO)); // [n, A, T]
    const normal = tf.tensor1d(ABOVE_ZERO.map(characteristic)); // [T]
    const real = tf.cos(phases).mean(0).sub(normal); // [A, T]
    const imaginary = tf.sin(phases).mean(0); // [A, T]
    const distance = real.square().add(imaginary.square()); // [A, T]
    return distance.mul(tf.tensor1d(WEIGHTS)).sum(1).mean().mul(rows);
  },
};

function characteristic(t: number): number {
  return Math.exp((-t * t) / 2);
}

/** Of each point's distance in the sum for both halves; at 0 both functions are 1, whatever the features. */
const WEIGHTS = ABOVE_ZERO.map((t) => (t === LIMIT ? 1 : 2) * SPACING * characteristic(t));

/** Random directions, one a column, [width, DIRECTIONS]. */
function unitColumns(random: RandomNumbers, width: number): Float32Array {
  const values = Float32Array.from({ length: width * DIRECTIONS }, () => random.normal());
  for (let column = 0; column < DIRECTIONS; column++) {
    let squares = 0;
    for (let at = column; at < values.length; at += DIRECTIONS) squares += (values[at] as number) ** 2;
    for (let at = column; at < values.length; at += DIRECTIONS)
      values[at] = (values[at] as number) / Math.sqrt(squares);
  }
  return values;
}
