import { type Tensor, type Tensor2D, tf } from '../engine/tf.js';
import { CLASS_PAIRS } from './parameters.js';
import { interpolationMatrix } from './positions.js';

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
  const entry = (value: Tensor | undefined, queries: number, keys: number) =>
    tf.zeros([heads, queries, keys]).add((value as Tensor).expandDims(1));
  const ofClass = tf.concat([entry(toItself, 1, 1), entry(toPatches, 1, pairs)], 2); // [h, 1, 1 + N]
  const ofPatches = tf.concat([entry(fromPatches, pairs, 1), patches], 2); // [h, N, 1 + N]
  return tf.concat([ofClass, ofPatches], 1);
}
