/**
 * The largest whole number that a weight becomes: with it, two products with numbers of 8 bits fit into the 16 bits in which
 * processors without VNNI add them up. More would be cut off there.
 */
const LARGEST = 64;

/** [rows, columns] -> [columns, rows] */
export function transposed<Numbers extends Float32Array | Uint16Array | Int8Array>(
  numbers: Numbers,
  rows: number,
  columns: number,
): Numbers {
  const result = numbers.slice() as Numbers;
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) result[column * rows + row] = numbers[row * columns + column];
  }
  return result;
}

/** What the whole number 1 stands for in each row of a matrix; 1 for rows of zeros. */
export function scalesOf(matrix: Float32Array, rows: number): Float32Array {
  const columns = matrix.length / rows;
  const scales = new Float32Array(rows);
  for (let at = 0; at < matrix.length; at++) {
    const row = Math.floor(at / columns);
    scales[row] = Math.max(scales[row], Math.abs(matrix[at]) / LARGEST);
  }
  return scales.map((scale) => scale || 1);
}

/** A matrix as whole numbers of the scales of its rows. */
export function toInt8(matrix: Float32Array, rows: number): Int8Array {
  const columns = matrix.length / rows;
  const scales = scalesOf(matrix, rows);
  const whole = new Int8Array(matrix.length);
  for (let at = 0; at < matrix.length; at++) whole[at] = Math.round(matrix[at] / scales[Math.floor(at / columns)]);
  return whole;
}
