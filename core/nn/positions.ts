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
  return tf.tensor2d(sincosTable(gridSize, dim), [gridSize * gridSize, dim]);
}

/** The same as numbers, row by row. */
export function sincosTable(gridSize: number, dim: number): Float32Array {
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
  return values;
}

/**
 * Positions for a grid of another size: each feature of the table as a picture, scaled by bicubic interpolation (cubic
 * convolution with a = -0.75, pixel centres at halves, no antialiasing, edges repeated), as is customary for vision
 * transformers that were trained at one size and are used at another. The coordinates of a larger grid thus stay within
 * the range that was trained.
 *
 * Letters: F side of the table's grid, T side of the wanted one, D width.
 * @param table [F F, D]
 * @returns [T T, D]; the table itself where the grids are the same
 */
export function interpolatePositions(table: Float32Array, from: number, to: number): Float32Array {
  if (from === to) return table;
  const dim = table.length / (from * from);
  const alongRows = scaleAxis(table, from, from, to, dim); // [F, T, D]
  return scaleAxis(alongRows, 1, from, to, to * dim); // [T, T, D]
}

/** The same along one axis, as a matrix [to, from]: `matrix` x values. The unit matrix where the lengths are the same. */
export function interpolationMatrix(from: number, to: number): Float32Array {
  const unit = new Float32Array(from * from);
  for (let i = 0; i < from; i++) unit[i * from + i] = 1;
  return from === to ? unit : scaleAxis(unit, 1, from, to, from);
}

/** Scales the middle axis: [outer, from, inner] -> [outer, to, inner]. */
function scaleAxis(values: Float32Array, outer: number, from: number, to: number, inner: number): Float32Array {
  const result = new Float32Array(outer * to * inner);
  for (let index = 0; index < to; index++) {
    const centre = ((index + 0.5) * from) / to - 0.5;
    const first = Math.floor(centre) - 1;
    for (let tap = first; tap < first + 4; tap++) {
      const weight = cubicWeight(centre - tap);
      const source = Math.min(from - 1, Math.max(0, tap));
      for (let row = 0; row < outer; row++) {
        const read = (row * from + source) * inner;
        const write = (row * to + index) * inner;
        for (let i = 0; i < inner; i++) {
          result[write + i] = (result[write + i] as number) + weight * (values[read + i] as number);
        }
      }
    }
  }
  return result;
}

/** The kernel of cubic convolution (Keys 1981) at a distance below 2. */
function cubicWeight(distance: number): number {
  const a = -0.75;
  const x = Math.abs(distance);
  if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}
