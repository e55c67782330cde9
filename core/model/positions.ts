import { type Tensor2D, tf } from '../engine/tf.js';

/**
 * Fixed two-dimensional sine-cosine positions, one row a patch, row by row over the grid.
 *
 * The first half of the features encodes the column, the second half the row; each half is sin(p ω) followed by cos(p ω)
 * with ω_i = 10000^(-i / (D/4)), i = 0 .. D/4 - 1 (Vaswani et al. 2017, in two dimensions as in MAE, He et al. 2022).
 * Letters: N patches, D width (a multiple of 4).
 * @returns [N, D]
 */
export function sincosPositions(gridSize: number, dim: number): Tensor2D {
  if (dim % 4 !== 0) throw new Error(`positions expected a width that is a multiple of 4, received ${dim}`);
  const quarter = dim / 4;
  const values = new Float32Array(gridSize * gridSize * dim);
  for (let row = 0; row < gridSize; row++) {
    for (let column = 0; column < gridSize; column++) {
      const start = (row * gridSize + column) * dim;
      for (let i = 0; i < quarter; i++) {
        const frequency = 10000 ** (-i / quarter);
        values[start + i] = Math.sin(column * frequency);
        values[start + quarter + i] = Math.cos(column * frequency);
        values[start + 2 * quarter + i] = Math.sin(row * frequency);
        values[start + 3 * quarter + i] = Math.cos(row * frequency);
      }
    }
  }
  return tf.tensor2d(values, [gridSize * gridSize, dim]);
}
