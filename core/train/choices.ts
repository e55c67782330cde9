/** The choices of the objective, apart from the code that computes them, so that help can name them at once. */

/**
 * - `l2`: the paper's squared distance, as a mean over blocks, patches and features, so that sizes can be compared.
 * - `smooth-l1`: the reference code's, with beta 1.
 */
export const LOSSES = ['l2', 'smooth-l1'] as const;
export type LossName = (typeof LOSSES)[number];

/**
 * A term against collapse, which no paper or reference preset uses. `vicreg` is the variance and covariance terms of
 * VICReg on the context encoder's pooled output, as C-JEPA adds them to I-JEPA (Mo and Tong 2024, arXiv 2410.19560).
 */
export const REGULARIZERS = ['none', 'vicreg'] as const;
export type RegularizerName = (typeof REGULARIZERS)[number];
