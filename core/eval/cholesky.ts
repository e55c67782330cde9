/*
 * Systems with a symmetric positive definite matrix A [D, D], by its factor L of A = L Lᵀ, in double precision. The library
 * ml-matrix takes twice as long. All loops run along rows, which lie in one piece in memory.
 *
 * Letters: D rows of A, C right-hand sides.
 */

/**
 * A⁻¹ B
 * @param a A [D, D]; only its lower half is read
 * @param b B [D, C]
 * @returns [D, C], or null where A is not positive definite
 */
export function solvePositive(a: Float64Array, b: Float64Array, size: number): Float64Array | null {
  const lower = factorise(a, size);
  if (!lower) return null;
  const x = substituteForward(lower, b.slice(), size);
  const columns = b.length / size;
  for (let row = size - 1; row >= 0; row--) {
    for (let k = row + 1; k < size; k++) subtractRow(x, columns, k, lower[k * size + row] as number, row);
    scaleRow(x, columns, row, 1 / (lower[row * size + row] as number)); // Lᵀ X = Y
  }
  return x;
}

/** L⁻¹ [D, D], or null where A is not positive definite. */
export function invertedFactor(a: Float64Array, size: number): Float64Array | null {
  const lower = factorise(a, size);
  const identity = Float64Array.from(a, (_, at) => Number(at % (size + 1) === 0));
  return lower && substituteForward(lower, identity, size, (k) => k + 1);
}

/**
 * L⁻¹ B in place of B.
 * @param used how many columns of row k of the result are not 0
 */
function substituteForward(
  lower: Float64Array,
  b: Float64Array,
  size: number,
  used: (k: number) => number = () => b.length / size,
): Float64Array {
  const columns = b.length / size;
  for (let row = 0; row < size; row++) {
    for (let k = 0; k < row; k++) subtractRow(b, columns, k, lower[row * size + k] as number, row, used(k));
    scaleRow(b, columns, row, 1 / (lower[row * size + row] as number));
  }
  return b;
}

/** L [D, D], or null where A is not positive definite. */
function factorise(a: Float64Array, size: number): Float64Array | null {
  const lower = a.slice();
  for (let row = 0; row < size; row++) {
    for (let column = 0; column <= row; column++) {
      let sum = lower[row * size + column] as number;
      for (let k = 0, r = row * size, c = column * size; k < column; k++, r++, c++) {
        sum -= (lower[r] as number) * (lower[c] as number);
      }
      if (column === row && !(sum > 0)) return null;
      lower[row * size + column] = column < row ? sum / (lower[column * size + column] as number) : Math.sqrt(sum);
    }
  }
  return lower;
}

/** x[to] -= factor x[from] */
function subtractRow(x: Float64Array, columns: number, from: number, factor: number, to: number, used = columns): void {
  for (let c = 0, f = from * columns, t = to * columns; c < used; c++, f++, t++) {
    x[t] = (x[t] as number) - factor * (x[f] as number);
  }
}

function scaleRow(x: Float64Array, columns: number, row: number, factor: number): void {
  for (let t = row * columns; t < (row + 1) * columns; t++) x[t] = (x[t] as number) * factor;
}
