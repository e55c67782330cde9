/**
 * On which images the best head of a grid is chosen. `validation`: a held-out tenth of the training images, after which
 * the chosen head alone is trained again on all of them, and nothing of the test images plays a part. `test`: the test
 * images themselves, as the paper does; of 16 heads on noise that alone is worth points.
 */
export const SELECTIONS = ['validation', 'test'] as const;
export type Selection = (typeof SELECTIONS)[number];
