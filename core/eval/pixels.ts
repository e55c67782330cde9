import { inOrder } from '../base/pool.js';
import { unreadableReason } from '../data/skipped.js';
import type { Engine } from '../engine/contract.js';
import { availableCores } from '../engine/threads.js';
import type { LabelledData, LabelledImages, ProbeProtocol } from '../plugin.js';
import { neighbourAccuracies, type PixelNeighbours } from './evaluate.js';
import { testView } from './transform.js';

/** Side of the pictures that are compared, in pixels. */
const SIDE = 32;
/** Beyond this many training images the first ones have to do; the result says of how many it is. */
const MOST_IMAGES = 50_000;

/** How images are seen. */
interface PixelSettings extends Pick<ProbeProtocol, 'transform' | 'interpolation'> {
  pixelLimit: number;
  signal?: AbortSignal;
}

/**
 * Nearest neighbours by the pixels themselves: test views of 32 x 32 pixels, less the mean training picture. What
 * they reach needs no learning, so a network that reaches no more has learned nothing that counts here.
 */
export async function pixelNeighbours(
  engine: Engine,
  { classes, train, test }: LabelledData,
  settings: PixelSettings,
): Promise<PixelNeighbours> {
  const [known, asked] = [await readPixels(train, settings), await readPixels(test, settings)];
  const mean = meanRow(known.data);
  subtractRow(known.data, mean);
  subtractRow(asked.data, mean);
  return neighbourAccuracies(engine, known, asked, classes.length);
}

/** Pixels and classes of the images that can be read, [M, 3072]. */
async function readPixels(
  images: LabelledImages,
  { transform, interpolation = 'bicubic', pixelLimit, signal }: PixelSettings,
): Promise<{ data: Float32Array; width: number; labels: Int32Array }> {
  const width = SIDE * SIDE * 3;
  const count = Math.min(images.length, MOST_IMAGES);
  const data = new Float32Array(count * width);
  const labels = new Int32Array(count);
  let rows = 0;
  const read = async (index: number) =>
    testView(images.item(index), { imageSize: SIDE, transform, interpolation, pixelLimit }).then(
      (rgb) => ({ index, rgb }),
      (error: unknown) => ({ index, rgb: null, reason: unreadableReason(error) }), // the features' extraction reports it
    );
  const atOnce = 2 * availableCores();
  for await (const { index, rgb } of inOrder(Array(count).keys(), read, { atOnce, ahead: 4 * atOnce })) {
    signal?.throwIfAborted();
    if (rgb === null) continue;
    data.set(rgb, rows * width);
    labels[rows++] = images.classOf(index);
  }
  return { data: data.subarray(0, rows * width), width, labels: labels.subarray(0, rows) };
}

function meanRow(data: Float32Array): Float32Array {
  const width = SIDE * SIDE * 3;
  const sum = new Float64Array(width);
  for (let i = 0; i < data.length; i++) sum[i % width] = (sum[i % width] as number) + (data[i] as number);
  const rows = Math.max(1, data.length / width);
  return Float32Array.from(sum, (value) => value / rows);
}

function subtractRow(data: Float32Array, row: Float32Array): void {
  for (let i = 0; i < data.length; i++) data[i] = (data[i] as number) - (row[i % row.length] as number);
}
