/**
 * Solves A X = B for a symmetric positive definite A by Cholesky's factorisation A = L Lᵀ, in double precision.
 *
 * Letters: D rows of A, C right-hand sides. Both loops run along rows, which lie in one piece in memory.
 * @param a A [D, D]; only its lower half is read
 * @param b B [D, C]
 * @returns X [D, C], or null where A is not positive definite
 */
export function solvePositive(a: Float64Array, b: Float64Array, size: number): Float64Array | null {
  const lower = factorise(a, size);
  if (!lower) return null;
  const columns = b.length / size;
  const x = b.slice();
  const subtractRow = (from: number, times: number, to: number) => {
    for (let c = 0, f = from * columns, t = to * columns; c < columns; c++, f++, t++) {
      x[t] = (x[t] as number) - times * (x[f] as number);
    }
  };
  const divideRow = (row: number) => {
    const inverse = 1 / (lower[row * size + row] as number);
    for (let t = row * columns; t < (row + 1) * columns; t++) x[t] = (x[t] as number) * inverse;
  };
  for (let row = 0; row < size; row++) {
    for (let k = 0; k < row; k++) subtractRow(k, lower[row * size + k] as number, row); // L Y = B
    divideRow(row);
  }
  for (let row = size - 1; row >= 0; row--) {
    for (let k = row + 1; k < size; k++) subtractRow(k, lower[k * size + row] as number, row); // Lᵀ X = Y
    divideRow(row);
  }
  return x;
}

/** L⁻¹ [D, D] of the lower factor of A = L Lᵀ, or null where A is not positive definite. */
export function invertedFactor(a: Float64Array, size: number): Float64Array | null {
  const lower = factorise(a, size);
  if (!lower) return null;
  const inverse = new Float64Array(size * size);
  for (let row = 0; row < size; row++) {
    inverse[row * size + row] = 1;
    for (let k = 0; k < row; k++) {
      const times = lower[row * size + k] as number;
      for (let c = 0, t = row * size, f = k * size; c <= k; c++, t++, f++) {
        inverse[t] = (inverse[t] as number) - times * (inverse[f] as number);
      }
    }
    const scale = 1 / (lower[row * size + row] as number);
    for (let t = row * size; t <= row * (size + 1); t++) inverse[t] = (inverse[t] as number) * scale;
  }
  return inverse;
}

/** L [D, D] with A = L Lᵀ, or null where A is not positive definite. */
function factorise(a: Float64Array, size: number): Float64Array | null {
  const lower = a.slice();
  for (let row = 0; row < size; row++) {
    for (let column = 0; column <= row; column++) {
      let sum = lower[row * size + column] as number;
      for (let k = 0, r = row * size, c = column * size; k < column; k++, r++, c++) {
        sum -= (lower[r] as number) * (lower[c] as number);
      }
      if (column < row) {
        lower[row * size + column] = sum / (lower[column * size + column] as number);
      } else {
        if (!(sum > 0)) return null;
        lower[row * size + row] = Math.sqrt(sum);
      }
    }
  }
  return lower;
}
