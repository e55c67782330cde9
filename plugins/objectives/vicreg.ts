import type { Regularizer } from '../../core/plugin.js';

/** Weight of the covariance term beside the variance term (VICReg's 1 beside 25). */
const COVARIANCE_WEIGHT = 0.04;
/** Added to variances before the root, whose slope at 0 is infinite. */
const EPSILON = 1e-4;

/**
 * VICReg's variance and covariance terms (Bardes et al. 2022, equations 1 to 4):
 *
 * mean_j max(0, 1 - σ_j) + 0.04 / D Σ_{i≠j} C_ij²: features are to vary (σ at least 1) and not to repeat one another
 * (covariance 0). Variance and covariance are unbiased (n - 1). C-JEPA adds them to I-JEPA (Mo and Tong 2024, arXiv
 * 2410.19560).
 *
 * Letters: n rows, at least 2, of D features.
 */
export const vicreg: Regularizer = {
  name: 'vicreg',
  summary:
    'every feature is to vary, and none to repeat another: variance and covariance terms of VICReg, as in C-JEPA',
  compute(tf, pooled) {
    const [rows, features] = pooled.shape as [number, number];
    if (rows < 2) throw new Error('needs at least two rows');
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
  },
};
