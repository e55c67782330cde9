/** A row of features and how near it is. */
export interface Neighbour {
  row: number;
  /** Cosine of the angle between both, from -1 to 1. */
  similarity: number;
}

/**
 * The rows that are nearest to others by cosine similarity, nearest first; of equals the first.
 * Letters: M rows, Q queries, K width.
 * @param data [M, K]
 * @param queries [Q, K]
 * @param leftOut for each query a row that is not looked at, such as itself; null: none
 * @returns for each query the `top` nearest, or all where there are fewer
 */
export function nearestRows(
  data: Float32Array,
  queries: Float32Array,
  width: number,
  top: number,
  leftOut: readonly (number | null)[],
): Neighbour[][] {
  const rows = data.length / width;
  const norms = Float64Array.from({ length: rows }, (_, row) => norm(data.subarray(row * width, (row + 1) * width)));
  return leftOut.map((own, at) => {
    const query = queries.subarray(at * width, (at + 1) * width);
    const length = norm(query);
    const nearest: Neighbour[] = [];
    for (let row = 0; row < rows; row++) {
      if (row === own) continue;
      const similarity = dot(query, data, row * width) / Math.max(norms[row] * length, Number.MIN_VALUE);
      if (nearest.length === top && similarity <= nearest[top - 1].similarity) continue;
      let place = nearest.length;
      while (place > 0 && nearest[place - 1].similarity < similarity) place--;
      nearest.splice(place, 0, { row, similarity });
      if (nearest.length > top) nearest.pop();
    }
    return nearest;
  });
}

function dot(query: Float32Array, data: Float32Array, start: number): number {
  let sum = 0;
  for (let i = 0; i < query.length; i++) sum += query[i] * data[start + i];
  return sum;
}

function norm(row: Float32Array): number {
  return Math.sqrt(dot(row, row, 0));
}
