import type { ImageItem, LabelledData, LabelledImages, ProbeProtocol } from '../contract/data-sets.js';
import type { Engine } from '../engine/contract.js';
import { availableCores } from '../engine/threads.js';
import { neighbourAccuracies, type PixelNeighbours } from './evaluate.js';
import type { Samples } from './samples.js';
import { testView } from './transform.js';
import { viewBatches } from './view-batches.js';

/** Side of the pictures that are compared, in pixels. */
const SIDE = 32;
const WIDTH = SIDE * SIDE * 3;
/** Beyond this many training images the first ones have to do; the result says of how many it is. */
const MAX_IMAGES = 50_000;

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
  const sum = new Float64Array(WIDTH);
  known.data.forEach((value, at) => {
    sum[at % WIDTH] = (sum[at % WIDTH] as number) + value;
  });
  const mean = Float32Array.from(sum, (value) => value / Math.max(1, known.rows));
  for (const { data } of [known, asked]) {
    for (let at = 0; at < data.length; at++) data[at] = (data[at] as number) - (mean[at % WIDTH] as number);
  }
  return neighbourAccuracies(engine, known, asked, classes.length);
}

/** Pixels and classes of the images that can be read. */
async function readPixels(images: LabelledImages, { signal, ...settings }: PixelSettings): Promise<Samples> {
  const turns = Math.min(images.length, MAX_IMAGES);
  const data = new Float32Array(turns * WIDTH);
  const labels = new Int32Array(turns);
  let rows = 0;
  const workers = 2 * availableCores();
  const viewOf = (item: ImageItem) => testView(item, { imageSize: SIDE, ...settings });
  // The features' extraction reports images that cannot be read.
  for await (const views of viewBatches(images, { turns, viewOf, batchSize: 2 * workers, workers }, null)) {
    signal?.throwIfAborted();
    for (const { index, rgb } of views) {
      data.set(rgb, rows * WIDTH);
      labels[rows++] = images.classOf(index);
    }
  }
  return { rows, width: WIDTH, layers: 1, data: data.subarray(0, rows * WIDTH), labels: labels.subarray(0, rows) };
}
