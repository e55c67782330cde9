import { setImmediate } from 'node:timers/promises';
import type { ImageItem, LabelledData, LabelledImages } from '../contract/data-sets.js';
import type { Engine } from '../engine/contract.js';
import { availableCores } from '../engine/machine.js';
import { type Tensor2D, tf } from '../engine/tf.js';
import { accuracies, namedClass, type Ranked, rankOf } from './accuracy.js';
import { USUAL_VOTING, type Voting } from './protocols.js';
import type { EvaluationResult } from './results.js';
import { type Piece, pieces, type Samples } from './samples.js';
import { testView, type ViewSettings, viewBatches } from './views.js';

/** What the raw pixels of the same images tell, for comparison. */
export type PixelNeighbours = EvaluationResult['pixelNeighbours'];

/** Rows of a product of similarities: 32 MiB of them at a time. */
const TRAIN_ROWS = 8192;
const TEST_ROWS = 1024;
/** Side of the pictures whose pixels are compared, and the numbers of one. */
const SIDE = 32;
const PIXELS = SIDE * SIDE * 3;
/** Beyond this many training images the first ones have to do; the result says of how many it is. */
const MAX_IMAGES = 50_000;

/** Accuracies of nearest neighbours by k. */
export function neighbourAccuracies(found: ReadonlyMap<number, Ranked>): PixelNeighbours {
  return [...found].map(([k, { ranks }]) => ({ k, ...accuracies(ranks) }));
}

/**
 * Weighted nearest neighbours by cosine similarity of the last layer's features: each of the k training samples that are
 * most similar votes for its class with weight exp(similarity / T); all k in one pass.
 * @param voting its ks that are larger than the number of training samples are left out
 * @returns by k, from small to large; a class without a vote is the last, and
 *   so is every class of a sample whose features are NaN
 */
export async function nearestNeighbours(
  engine: Engine,
  train: Samples,
  test: Samples,
  classes: number,
  { ks, temperature }: Voting = USUAL_VOTING,
): Promise<Map<number, Ranked>> {
  const possible = ks.filter((k) => k >= 1 && k <= train.rows).sort((a, b) => a - b);
  const largest = possible.at(-1) ?? 0;
  const nothing = (): Ranked => ({
    ranks: new Int32Array(test.rows).fill(classes - 1),
    predicted: new Int32Array(test.rows),
  });
  const results = new Map(possible.map((k) => [k, nothing()]));
  if (largest === 0) return results;
  const similarities = engine.compile((a: Tensor2D, b: Tensor2D) => tf.matMul(a, b, false, true));
  const queries = Array.from(pieces({ samples: test, features: 'last' }, TEST_ROWS), unitRows);
  const none = new Float32Array(largest).fill(Number.NEGATIVE_INFINITY);
  const nobody = (): Largest => ({ values: none.slice(), indices: new Uint32Array(largest) });
  const nearest = Array.from({ length: test.rows }, nobody);
  for (const piece of pieces({ samples: train, features: 'last' }, TRAIN_ROWS)) {
    const keys = unitRows(piece);
    for (const [block, query] of queries.entries()) {
      await setImmediate(); // lets timers and interrupts in
      const product = await similarities(query, keys);
      const values = (await product.data()) as Float32Array;
      product.dispose();
      for (let row = 0; row < query.shape[0]; row++) {
        const similar = values.subarray(row * keys.shape[0], (row + 1) * keys.shape[0]);
        offer(nearest[block * TEST_ROWS + row], similar, piece.start);
      }
    }
    keys.dispose();
  }
  tf.dispose(queries);
  nearest.forEach(({ values, indices }, row) => {
    const right = test.labels[row];
    const votes = new Float64Array(classes);
    // Where nothing votes, any class but the right one.
    for (const { predicted } of results.values()) predicted[row] = namedClass(votes, 0, classes, right, classes - 1);
    for (let at = 0; at < largest && values[at] > Number.NEGATIVE_INFINITY; at++) {
      const voted = train.labels[indices[at]];
      votes[voted] += Math.exp((values[at] - values[0]) / temperature);
      const found = results.get(at + 1);
      if (!found) continue;
      const rank = votes[right] === 0 ? classes - 1 : rankOf(votes, 0, classes, right);
      found.ranks[row] = rank;
      found.predicted[row] = namedClass(votes, 0, classes, right, rank);
    }
  });
  return results;
}

type PixelSettings = Omit<ViewSettings, 'imageSize'> & { signal?: AbortSignal };

/**
 * Nearest neighbours by the pixels themselves: test views of 32 x 32 pixels, less the mean training picture. What
 * they reach needs no learning, so a network that reaches no more has learned nothing that counts here.
 */
export async function pixelNeighbours(
  engine: Engine,
  { classes, train, test }: LabelledData,
  settings: PixelSettings,
  voting?: Voting,
): Promise<PixelNeighbours> {
  const [known, asked] = [await readPixels(train, settings), await readPixels(test, settings)];
  const sum = new Float64Array(PIXELS);
  for (let at = 0; at < known.data.length; at++) sum[at % PIXELS] += known.data[at];
  const mean = Float32Array.from(sum, (value) => value / Math.max(1, known.rows));
  for (const { data } of [known, asked]) {
    for (let at = 0; at < data.length; at++) data[at] -= mean[at % PIXELS];
  }
  return neighbourAccuracies(await nearestNeighbours(engine, known, asked, classes.length, voting));
}

/** Pixels and classes of the images that can be read. */
async function readPixels(images: LabelledImages, { signal, ...settings }: PixelSettings): Promise<Samples> {
  const turns = Math.min(images.length, MAX_IMAGES);
  const data = new Float32Array(turns * PIXELS);
  const labels = new Int32Array(turns);
  let rows = 0;
  const viewOf = (item: ImageItem) => testView(item, { imageSize: SIDE, ...settings });
  // The features' extraction reports images that cannot be read.
  for await (const batch of viewBatches(images, { turns, viewOf, batchSize: 4 * availableCores() }, null)) {
    signal?.throwIfAborted();
    labels.set(batch.labels, rows);
    for (const rgb of batch.rgb) data.set(rgb, rows++ * PIXELS);
  }
  return { rows, width: PIXELS, layers: 1, data: data.subarray(0, rows * PIXELS), labels: labels.subarray(0, rows) };
}

/** The k largest of many numbers, largest first; of equal ones those that came first. Below what was offered stands -∞. */
type Largest = { values: Float32Array; indices: Uint32Array };

/** Takes in numbers, of which the first one's index is `first`. NaN is passed over. */
function offer({ values, indices }: Largest, numbers: Float32Array, first: number): void {
  const last = values.length - 1;
  let smallest = values[last];
  for (let at = 0; at < numbers.length; at++) {
    const value = numbers[at];
    if (!(value > smallest)) continue;
    let place = 0; // after all that are not smaller
    for (let end = last; place < end; ) {
      const middle = (place + end) >> 1;
      if (values[middle] < value) end = middle;
      else place = middle + 1;
    }
    values.copyWithin(place + 1, place, last);
    indices.copyWithin(place + 1, place, last);
    values[place] = value;
    indices[place] = first + at;
    smallest = values[last];
  }
}

/** Rows divided by their lengths, [rows, D]; a row of zeros stays one. */
function unitRows({ rows, shape }: Piece): Tensor2D {
  const [, width] = shape;
  for (let from = 0; from < rows.length; from += width) {
    let squares = 0;
    for (let at = from; at < from + width; at++) squares += rows[at] ** 2;
    const scale = squares > 0 ? 1 / Math.sqrt(squares) : 0;
    for (let at = from; at < from + width; at++) rows[at] *= scale;
  }
  return tf.tensor2d(rows, shape);
}
