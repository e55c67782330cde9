/** A table that is being filled, row by row in any order. */
export class PartialTable {
  readonly #data: Float32Array;
  readonly #present: Uint8Array;
  #done = 0;

  constructor(
    readonly rows: number,
    readonly columns: number,
  ) {
    this.#data = new Float32Array(rows * columns);
    this.#present = new Uint8Array(rows);
  }

  /** Rows that are there. */
  get done(): number {
    return this.#done;
  }

  /** @param features of the rows, [k, columns] */
  add(rows: Int32Array, features: Float32Array): void {
    rows.forEach((row, at) => {
      this.#data.set(features.subarray(at * this.columns, (at + 1) * this.columns), row * this.columns);
      this.#done += 1 - (this.#present[row] as number);
      this.#present[row] = 1;
    });
  }

  *missingRows(): Generator<number> {
    for (let row = 0; row < this.rows; row++) if (this.#present[row] === 0) yield row;
  }

  presentRows(): Int32Array {
    return Int32Array.from(this.#present.keys()).filter((row) => this.#present[row] === 1);
  }

  /** The data of some rows, [k, columns]; not copied where they are all. */
  only(rows: Int32Array): Float32Array {
    if (rows.length === this.rows) return this.#data;
    const data = new Float32Array(rows.length * this.columns);
    rows.forEach((row, at) => {
      data.set(this.#data.subarray(row * this.columns, (row + 1) * this.columns), at * this.columns);
    });
    return data;
  }
}
