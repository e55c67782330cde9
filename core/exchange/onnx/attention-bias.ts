import { CLASS_PAIRS } from '../../nn/parameters.js';

/**
 * The biases of attention for relative positions as one table, as `relativeBias` makes them where images are of the size of
 * training.
 *
 * Letters: h heads, g side of the grid, N' its g² patches after the class token where there is one.
 * @param table a row for each difference of rows and columns, (2g - 1)² of them, and those for a class token; [rows, h]
 * @returns [h, N', N'] for queries and keys
 */
export function attentionBias(table: Float32Array, heads: number, grid: number, classToken: boolean): Float32Array {
  const differences = 2 * grid - 1;
  const first = classToken ? 1 : 0;
  const tokens = first + grid * grid;
  const [toPatches, fromPatches, toItself] = Array.from({ length: CLASS_PAIRS }, (_, pair) => differences ** 2 + pair);
  const rowOf = (query: number, key: number) => {
    if (query < first) return key < first ? toItself : toPatches;
    if (key < first) return fromPatches;
    const [from, to] = [query - first, key - first];
    const rows = Math.floor(from / grid) - Math.floor(to / grid) + grid - 1;
    return rows * differences + (from % grid) - (to % grid) + grid - 1;
  };
  const bias = new Float32Array(heads * tokens * tokens);
  for (let query = 0; query < tokens; query++) {
    for (let key = 0; key < tokens; key++) {
      const row = rowOf(query, key) * heads;
      for (let head = 0; head < heads; head++) bias[(head * tokens + query) * tokens + key] = table[row + head];
    }
  }
  return bias;
}
