import { Matrix, SingularValueDecomposition } from 'ml-matrix';
import { invertedFactor } from './solvers.js';

/*
 * What the spectrum of features tells without labels.
 *
 * Letters: n rows, D width, σₖ singular values from large to small.
 */

/** Places of the eigenvalues on which α-ReQ's line is fitted, from 1: those of the authors' code. */
const FIRST_PLACE = 4;
const LAST_PLACE = 100;
/**
 * δ, added to the scatter within images, and ε of the probabilities. LiDAR's paper calls both small constants and gives no
 * numbers: δ is that of Skean et al. (2025) and of stable-pretraining, ε that of RankMe's paper.
 */
const SCATTER = 1e-4;
const EPSILON = 1e-7;
/** Of the largest singular value; smaller ones are rounding errors of single precision. */
const ROUNDING = 1e-7;

/**
 * RankMe (Garrido et al. 2023): exp(-Σ pₖ ln pₖ) with pₖ = σₖ / Σ σ, the singular values of the features.
 * @param features row by row, [n, D]
 */
export function rankMe(features: Float32Array, rows: number): number {
  return effectiveRank(singularValues(features, rows));
}

/** exp(-Σ pₖ ln pₖ) with pₖ = valueₖ / Σ values; 1 where all are 0. */
function effectiveRank(values: readonly number[], epsilon = 0): number {
  const total = values.reduce((sum, value) => sum + value, 0);
  if (total === 0) return 1;
  const logs = values.reduce((sum, value) => {
    const part = value / total + epsilon;
    return part > 0 ? sum + part * Math.log(part) : sum;
  }, 0);
  return Math.exp(-logs);
}

/** What the spectrum of centred features tells. */
export interface CentredSpectrum {
  /** RankMe of the features less their mean. */
  rankMeCentred: number;
  /** α of λₖ ∝ k^-α; null where fewer than two eigenvalues stand at the places of the fit. */
  alphaReq: number | null;
}

/**
 * RankMe of centred features, and α-ReQ (Agrawal et al. 2022): the exponent by which eigenvalues λₖ = σₖ²/n of the features'
 * covariance fall, the slope of log λₖ over -log k for k from 4 to 100 (or the last above rounding errors), least squares
 * with weights 1/k as Stringer et al. (2019) fit it.
 * @param features row by row, [n, D]
 */
export function centredSpectrum(features: Float32Array, rows: number): CentredSpectrum {
  const singular = singularValues(centred(features, rows), rows);
  const isKnown = (value: number) => value > ROUNDING * singular[0];
  const points = singular
    .slice(FIRST_PLACE - 1, LAST_PLACE)
    .filter(isKnown)
    .map((value, at) => ({
      x: -Math.log(at + FIRST_PLACE),
      y: Math.log(value ** 2 / rows),
      weight: 1 / (at + FIRST_PLACE),
    }));
  const mean = (of: (point: (typeof points)[number]) => number) =>
    points.reduce((sum, point) => sum + point.weight * of(point), 0) /
    points.reduce((sum, { weight }) => sum + weight, 0);
  const [x, y] = [mean((point) => point.x), mean((point) => point.y)];
  const slope = mean((point) => (point.x - x) * (point.y - y)) / mean((point) => (point.x - x) ** 2);
  return { rankMeCentred: effectiveRank(singular), alphaReq: points.length < 2 ? null : slope };
}

/**
 * LiDAR (Thilak et al. 2023, equations 1 to 4 of its first version): the effective rank of a linear discriminant analysis whose classes are images, of
 * which there are q views each:
 *
 *   Σb = Σᵢ (μᵢ - μ)(μᵢ - μ)ᵀ / n,  Σw = Σᵢ Σⱼ (eᵢⱼ - μᵢ)(eᵢⱼ - μᵢ)ᵀ / nq + δ I
 *   exp(-Σ pₖ ln pₖ) with pₖ = λₖ / Σ λ + ε, eigenvalues of Σw^-½ Σb Σw^-½
 *
 * These are the squared singular values of M L⁻ᵀ / √n with L Lᵀ = Σw and the rows μᵢ - μ of M.
 * @param features of all views of an image, then of the next one, [n q, D]
 */
export function lidar(features: Float32Array, views: number, width: number): number {
  const images = features.length / (width * views);
  const means = new Float64Array(images * width);
  const viewMean = (at: number) => Math.floor(at / (width * views)) * width + (at % width);
  for (let at = 0; at < features.length; at++) means[viewMean(at)] += features[at] / views;
  const rest = new Matrix(images * views, width);
  for (let at = 0; at < features.length; at++)
    rest.set(Math.floor(at / width), at % width, features[at] - means[viewMean(at)]);
  const scatter = rest
    .transpose()
    .mmul(rest)
    .div(images * views)
    .add(Matrix.eye(width).mul(SCATTER)); // Σw
  const inverse = invertedFactor(Float64Array.from(scatter.to1DArray()), width);
  if (!inverse) return Number.NaN; // of features that are no numbers
  const between = Matrix.from1DArray(images, width, centred(means, images)); // M
  const turned = between.mmul(Matrix.from1DArray(width, width, inverse).transpose());
  // As many as there are directions: those that no mean reaches have ε.
  const found = singularOf(turned).map((value) => value ** 2 / images);
  const all = [...found, ...Array<number>(width - found.length).fill(0)];
  return effectiveRank(all, EPSILON);
}

/** Features less their means over rows. */
function centred(features: Float32Array | Float64Array, rows: number): Float64Array {
  const width = features.length / rows;
  const mean = new Float64Array(width);
  for (let at = 0; at < features.length; at++) mean[at % width] += features[at] / rows;
  return Float64Array.from(features, (value, at) => value - mean[at % width]);
}

function singularValues(features: Float32Array | Float64Array, rows: number): number[] {
  return singularOf(Matrix.from1DArray(rows, features.length / rows, features));
}

function singularOf(matrix: Matrix): number[] {
  return new SingularValueDecomposition(matrix, {
    computeLeftSingularVectors: false,
    computeRightSingularVectors: false,
    autoTranspose: true,
  }).diagonal;
}
