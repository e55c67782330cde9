import { type LoaderMeasurement, measureLoader } from '../core/data/measure.js';
import { openData } from '../core/data/open.js';
import type { BenchOptions } from './options/bench.js';
import { configuredDataSets } from './plugins.js';

/** Times loading images; without the libraries that compute. */
export async function benchData({ data, threads, json, ...size }: BenchOptions): Promise<void> {
  const images = await openData(data, await configuredDataSets());
  for (const note of images.notes ?? []) process.stderr.write(`note  ${note}\n`);
  const result = await measureLoader(images, size, threads);
  process.stdout.write(json ? `${JSON.stringify(result)}\n` : `${describeLoading(result, images.description)}\n`);
}

function describeLoading(result: LoaderMeasurement, description: string): string {
  const { threads, images, imageSize, batchSize, batches, unreadableImages } = result;
  return (
    `${batches} batches of ${batchSize} random crops of ${imageSize} px; ${images} images: ${description}; threads: ${threads}\n` +
    `  speed   ${result.imagesPerSecond} images/s (median of the batches: ${result.medianImagesPerSecond})\n` +
    `  work    ${(result.cpuSecondsPerImage * 1000).toFixed(2)} ms of processor time an image\n` +
    `  memory  ${result.peakMemoryMiB} MiB at its peak` +
    (unreadableImages > 0 ? `\n  skipped ${unreadableImages} images that cannot be read` : '')
  );
}
