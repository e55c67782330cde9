/**
 * The largest whole number that a weight becomes: with it, two products with numbers of 8 bits fit into the 16 bits in which
 * processors without VNNI add them up. More would be cut off there.
 */
const LARGEST = 64;

/** Rows that are turned together, so that what is written lies side by side. */
const STRIP = 32;

/** [rows, columns] -> [columns, rows] */
export function transposed<Numbers extends Float32Array | Uint16Array | Int8Array>(
  numbers: Numbers,
  rows: number,
  columns: number,
): Numbers {
  const result = numbers.slice() as Numbers;
  for (let first = 0; first < rows; first += STRIP) {
    const end = Math.min(first + STRIP, rows);
    for (let column = 0; column < columns; column++) {
      for (let row = first; row < end; row++) result[column * rows + row] = numbers[row * columns + column];
    }
  }
  return result;
}

/** What the whole number 1 stands for in each row of a matrix; 1 for rows of zeros. */
export function scalesOf(matrix: Float32Array, rows: number): Float32Array {
  const columns = matrix.length / rows;
  const scales = new Float32Array(rows);
  for (let row = 0; row < rows; row++) {
    let largest = 0;
    for (let at = row * columns; at < (row + 1) * columns; at++) largest = Math.max(largest, Math.abs(matrix[at]));
    scales[row] = largest / LARGEST || 1;
  }
  return scales;
}

/** A matrix as whole numbers of the scales of its rows. */
export function toInt8(matrix: Float32Array, rows: number): Int8Array {
  const columns = matrix.length / rows;
  const whole = new Int8Array(matrix.length);
  for (const [row, scale] of scalesOf(matrix, rows).entries()) {
    for (let at = row * columns; at < (row + 1) * columns; at++) whole[at] = Math.round(matrix[at] / scale);
  }
  return whole;
}
