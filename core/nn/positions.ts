import { type Tensor, type Tensor2D, tf } from '../engine/tf.js';
import { CLASS_PAIRS } from './parameters.js';

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
  const dim = table.length / (from * from);
  const alongRows = scaleAxis(table, from, from, to, dim); // [F, T, D]
  return scaleAxis(alongRows, 1, from, to, to * dim); // [T, T, D]
}

/**
 * What turns a table into biases along one axis: row i g + j chooses the entry of the difference i - j. Where the table is
 * of another grid, it is interpolated as `interpolatePositions` does.
 * @returns [g g, 2G - 1] for the side g of the grid and G of the table's
 */
export function axisDifferences(grid: number, tableGrid: number): Tensor2D {
  const differences = 2 * tableGrid - 1;
  const entries = interpolationMatrix(differences, 2 * grid - 1); // [2g - 1, 2G - 1]
  const rows = new Float32Array(grid * grid * differences);
  for (let pair = 0; pair < grid * grid; pair++) {
    const difference = Math.floor(pair / grid) - (pair % grid) + grid - 1;
    rows.set(entries.subarray(difference * differences, (difference + 1) * differences), pair * differences);
  }
  return tf.tensor2d(rows, [grid * grid, differences]);
}

/**
 * Biases of attention for every pair of tokens from a table of relative positions (BEiT, Bao et al. 2022; data2vec,
 * Baevski et al. 2022). The table's entry (row difference + g - 1)(2g - 1) + column difference + g - 1 is that of a query's
 * position less its key's. With a class token, which comes first, the last three entries are for class query and patch key,
 * patch query and class key, class and class.
 *
 * The entries are chosen by two products, one for each axis, so that the gradient consists of products as well.
 * Letters: h heads, g side of the grid, N = g² patches, T the table's length.
 * @param table [T, h]
 * @param differences what `axisDifferences` gives
 * @returns [h, N, N], or [h, 1 + N, 1 + N] with a class token: queries, then keys
 */
export function relativeBias(table: Tensor, differences: Tensor): Tensor {
  const [length, heads] = table.shape as [number, number];
  const [pairs, side] = differences.shape as [number, number];
  const grid = Math.sqrt(pairs);
  const alongRows = tf.matMul(differences, tf.slice(table, 0, side * side).reshape([side, side * heads])); // [g g, side h]
  const columnsFirst = alongRows.reshape([pairs, side, heads]).transpose([1, 0, 2]); // [side, g g, h]
  const patches = tf
    .matMul(differences, columnsFirst.reshape([side, pairs * heads]))
    .reshape([grid, grid, grid, grid, heads]) // columns of query and key, rows of query and key
    .transpose([4, 2, 0, 3, 1])
    .reshape([heads, pairs, pairs]);
  if (length === side * side) return patches;
  const [toPatches, fromPatches, toItself] = tf.split(tf.slice(table, side * side).transpose(), CLASS_PAIRS, 1); // [h, 1]
  const entry = (value: Tensor, queries: number, keys: number) =>
    tf.zeros([heads, queries, keys]).add(value.expandDims(1));
  const ofClass = tf.concat([entry(toItself, 1, 1), entry(toPatches, 1, pairs)], 2); // [h, 1, 1 + N]
  const ofPatches = tf.concat([entry(fromPatches, pairs, 1), patches], 2); // [h, N, 1 + N]
  return tf.concat([ofClass, ofPatches], 1);
}

/** `interpolatePositions` along one axis, as a matrix [to, from]: `matrix` x values. The unit matrix where the lengths are the same. */
function interpolationMatrix(from: number, to: number): Float32Array {
  const unit = new Float32Array(from * from);
  for (let i = 0; i < from; i++) unit[i * from + i] = 1;
  return scaleAxis(unit, 1, from, to, from);
}

/** Scales the middle axis: [outer, from, inner] -> [outer, to, inner]; the values themselves where the lengths are the same. */
function scaleAxis(values: Float32Array, outer: number, from: number, to: number, inner: number): Float32Array {
  if (from === to) return values;
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
        for (let i = 0; i < inner; i++) result[write + i] += weight * values[read + i];
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
