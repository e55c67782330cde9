import type { Regularizer } from '../../core/plugin.js';

/** Added to squared lengths, so that a row of zeros has a direction. */
const EPSILON = 1e-12;

/**
 * Isotropy: features of different images are to be orthogonal.
 *
 * D / n² Σ_ij cos²(z_i, z_j) - 1 = D ‖UᵀU / n‖² - 1, U the rows at length 1: what pushes images apart in the spectral
 * contrastive loss (HaoChen et al. 2021, arXiv 2106.04156), on the features themselves. Lengths make no difference.
 *
 * Directions that are evenly distributed give 0 for many rows, and D / n more for n of them; rows in one direction D - 1.
 *
 * Letters: n rows of D features.
 */
export const isotropy: Regularizer = {
  name: 'isotropy',
  summary: 'features of different images are to be orthogonal: the squared cosines of the spectral contrastive loss',
  compute(tf, pooled) {
    const [rows, features] = pooled.shape as [number, number];
    const lengths = pooled.square().sum(1, true).add(EPSILON).sqrt(); // [n, 1]
    const directions = pooled.div(lengths); // [n, D]
    const moments = tf.matMul(directions, directions, true, false).div(rows); // [D, D]
    return moments.square().sum().mul(features).sub(1);
  },
};
