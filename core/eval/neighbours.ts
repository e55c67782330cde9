import type { Engine } from '../engine/contract.js';
import { type Tensor2D, tf } from '../engine/tf.js';
import { rankOf } from './ranks.js';

/** Features of one layer with their classes. */
export interface LabelledFeatures {
  /** [M, width] */
  readonly data: Float32Array;
  readonly width: number;
  /** [M] */
  readonly labels: Int32Array;
}

/** By which a similarity is divided before the exponential (DINO, Caron et al. 2021, appendix F.1). */
const TEMPERATURE = 0.07;
/** Rows of a product of similarities: 32 MiB of them at a time. */
const TRAIN_ROWS = 8192;
const TEST_ROWS = 1024;

/**
 * Weighted nearest neighbours by cosine similarity: each of the k training samples that are most similar votes for its
 * class with weight exp(similarity / 0.07), as in DINO.
 * @param ks those larger than the number of training samples are left out
 * @returns by k, for each test sample the rank of its class, from 0; a class without a vote is the last
 */
export async function nearestNeighbours(
  engine: Engine,
  train: LabelledFeatures,
  test: LabelledFeatures,
  classes: number,
  ks: readonly number[],
): Promise<Map<number, Int32Array>> {
  if (train.width !== test.width) throw new Error(`expected features of width ${train.width}, received ${test.width}`);
  const [trainRows, testRows] = [train.labels.length, test.labels.length];
  const possible = ks.filter((k) => k >= 1 && k <= trainRows).sort((a, b) => a - b);
  const most = possible.at(-1) ?? 0;
  const results = new Map(possible.map((k) => [k, new Int32Array(testRows)]));
  if (most === 0) return results;
  const similarities = engine.compile((a: Tensor2D, b: Tensor2D) => tf.matMul(a, b, false, true));
  for (let start = 0; start < testRows; start += TEST_ROWS) {
    const rows = Math.min(TEST_ROWS, testRows - start);
    const nearest = Array.from({ length: rows }, () => new Nearest(most));
    const queries = unitRows(test, start, rows);
    for (let from = 0; from < trainRows; from += TRAIN_ROWS) {
      const count = Math.min(TRAIN_ROWS, trainRows - from);
      const keys = unitRows(train, from, count);
      const product = await similarities(queries, keys);
      const values = await product.data();
      nearest.forEach((list, row) => {
        list.offer(values.subarray(row * count, (row + 1) * count) as Float32Array, from);
      });
      tf.dispose([keys, product]);
    }
    queries.dispose();
    nearest.forEach((list, row) => {
      const right = test.labels[start + row] as number;
      const votes = new Float64Array(classes);
      let counted = 0;
      for (const { similarity, index } of list.sorted()) {
        const voted = train.labels[index] as number;
        votes[voted] = (votes[voted] as number) + Math.exp(similarity / TEMPERATURE);
        counted++;
        const ranks = results.get(counted);
        if (ranks) ranks[start + row] = votes[right] === 0 ? classes - 1 : rankOf(votes, 0, classes, right);
      }
    });
  }
  return results;
}

/** Rows of features divided by their lengths, [rows, width]; a row of zeros stays one. */
function unitRows({ data, width }: LabelledFeatures, start: number, rows: number): Tensor2D {
  const unit = data.slice(start * width, (start + rows) * width);
  for (let row = 0; row < rows; row++) {
    const from = row * width;
    let squares = 0;
    for (let i = from; i < from + width; i++) squares += (unit[i] as number) ** 2;
    const scale = squares > 0 ? 1 / Math.sqrt(squares) : 0;
    for (let i = from; i < from + width; i++) unit[i] = (unit[i] as number) * scale;
  }
  return tf.tensor2d(unit, [rows, width]);
}

/**
 * The k largest of many numbers, in one pass: a heap with the smallest of them at its root, so that most numbers cost one
 * comparison. Of equal numbers those that came first stay.
 */
class Nearest {
  readonly #values: Float32Array;
  readonly #indices: Uint32Array;
  #count = 0;

  constructor(private readonly most: number) {
    this.#values = new Float32Array(most);
    this.#indices = new Uint32Array(most);
  }

  /** Takes in numbers, of which the first one's index is `first`. */
  offer(numbers: Float32Array, first: number): void {
    let at = 0;
    for (; this.#count < this.most && at < numbers.length; at++) this.#add(numbers[at] as number, first + at);
    let smallest = this.#values[0] as number;
    for (; at < numbers.length; at++) {
      const value = numbers[at] as number;
      if (value > smallest) {
        this.#sink(0, value, first + at);
        smallest = this.#values[0] as number;
      }
    }
  }

  /** The numbers kept, largest first. */
  sorted(): { similarity: number; index: number }[] {
    return Array.from({ length: this.#count }, (_, at) => ({
      similarity: this.#values[at] as number,
      index: this.#indices[at] as number,
    })).sort((a, b) => b.similarity - a.similarity || a.index - b.index);
  }

  #add(value: number, index: number): void {
    let place = this.#count++;
    while (place > 0) {
      const parent = (place - 1) >> 1;
      if (!this.#isBefore(value, index, parent)) break;
      this.#set(place, this.#values[parent] as number, this.#indices[parent] as number);
      place = parent;
    }
    this.#set(place, value, index);
  }

  /** Puts a number where it belongs below a place that is free. */
  #sink(free: number, value: number, index: number): void {
    let place = free;
    for (;;) {
      let child = 2 * place + 1;
      if (child >= this.#count) break;
      if (child + 1 < this.#count && this.#isChildBefore(child + 1, child)) child++;
      if (this.#isBefore(value, index, child)) break;
      this.#set(place, this.#values[child] as number, this.#indices[child] as number);
      place = child;
    }
    this.#set(place, value, index);
  }

  /** Whether a number leaves the heap before the one at a place: it is smaller, or equal and came later. */
  #isBefore(value: number, index: number, place: number): boolean {
    const other = this.#values[place] as number;
    return value < other || (value === other && index > (this.#indices[place] as number));
  }

  #isChildBefore(a: number, b: number): boolean {
    return this.#isBefore(this.#values[a] as number, this.#indices[a] as number, b);
  }

  #set(place: number, value: number, index: number): void {
    this.#values[place] = value;
    this.#indices[place] = index;
  }
}
