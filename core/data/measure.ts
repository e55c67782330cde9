import { PROGRAM } from '../base/program.js';
import { round } from '../base/rounding.js';
import { OPTIONS } from '../config/schema.js';
import type { ImageCollection } from '../contract/data-sets.js';
import { usualThreads } from './decoders.js';
import { type LoaderSettings, loadBatches, requireOneBatch } from './loader.js';

export type LoaderMeasurement = Awaited<ReturnType<typeof measureLoader>>;

const WARM_UP = 3;

/**
 * Times the loader alone: batches of random crops as in training, with the default options, at once thrown away.
 * @param threads null for as many as training would take
 */
export async function measureLoader(
  images: ImageCollection,
  { batchSize, imageSize, batches }: { batchSize: number; imageSize: number; batches: number },
  threads: number | null,
) {
  requireOneBatch(images, batchSize);
  const settings: LoaderSettings = {
    seed: 0,
    batchSize,
    shuffleBuffer: null,
    imageSize,
    cropScale: OPTIONS.cropScale.default,
    cropAspect: OPTIONS.cropAspect.default,
    flip: 0,
    jitter: 0,
    blur: 0,
    pixelLimit: OPTIONS.maxMegapixels.default * 1e6,
    aheadBytes: OPTIONS.aheadMegabytes.default * 1e6,
    decodeThreads: threads,
  };
  const unreadable = new Set<string>();
  const loading = loadBatches(images, settings, { add: (name) => unreadable.add(name) }, 0, WARM_UP + batches);
  const seconds: number[] = [];
  let cpuStart = process.cpuUsage();
  let started = performance.now();
  for await (const _ of loading) {
    const ended = performance.now();
    seconds.push((ended - started) / 1000);
    started = ended;
    if (seconds.length === WARM_UP) cpuStart = process.cpuUsage();
  }
  const cpu = process.cpuUsage(cpuStart);
  const timed = seconds.slice(WARM_UP);
  const total = timed.reduce((sum, time) => sum + time, 0);
  const median = [...timed].sort((a, b) => a - b)[timed.length >> 1];
  return {
    loader: PROGRAM,
    threads: threads ?? usualThreads(),
    images: images.length,
    imageSize,
    batchSize,
    batches,
    imagesPerSecond: round((batchSize * batches) / total, 1),
    /** From the median of the times that batches took: they come in bursts, so that the mean is what counts. */
    medianImagesPerSecond: round(batchSize / median, 1),
    /** Of all threads, without their start: tells more than the clock where others use the machine too. */
    cpuSecondsPerImage: round((cpu.user + cpu.system) / 1e6 / (batchSize * batches), 5),
    peakMemoryMiB: Math.round(process.resourceUsage().maxRSS / 1024),
    unreadableImages: unreadable.size,
  };
}
