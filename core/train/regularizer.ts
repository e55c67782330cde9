import { type Scalar, type Tensor, tf } from '../engine/tf.js';

/** Weight of the covariance term beside the variance term (VICReg's 1 beside 25). */
const COVARIANCE_WEIGHT = 0.04;
/** Added to variances before the root, whose slope at 0 is infinite. */
const EPSILON = 1e-4;

/**
 * VICReg's variance and covariance terms (Bardes et al. 2022, equations 1 to 4):
 *
 * mean_j max(0, 1 - σ_j) + 0.04 / D Σ_{i≠j} C_ij²: features are to vary (σ at least 1) and not to repeat one another
 * (covariance 0). Variance and covariance are unbiased (n - 1).
 *
 * Letters: n rows, D features.
 * @param pooled representations averaged over their tokens, [n, D], n at least 2
 */
export function vicreg(pooled: Tensor): Scalar {
  const [rows, features] = pooled.shape as [number, number];
  if (rows < 2) throw new Error('the regularizer needs at least two images');
  const centred = pooled.sub(pooled.mean(0, true)); // [n, D]
  const covariance = tf.matMul(centred, centred, true, false).div(rows - 1); // [D, D]
  const offDiagonal = tf.scalar(1).sub(tf.eye(features)); // [D, D]
  const variance = centred
    .square()
    .sum(0)
    .div(rows - 1); // [D]
  const spread = tf.relu(tf.scalar(1).sub(variance.add(EPSILON).sqrt())).mean();
  const redundancy = covariance
    .mul(offDiagonal)
    .square()
    .sum()
    .mul(COVARIANCE_WEIGHT / features);
  return spread.add(redundancy);
}
