import { RandomStream } from '../random.js';
import { percentWithin } from './ranks.js';
import type { Accuracies, Accuracy } from './result.js';

const RESAMPLES = 1000;

/**
 * Top-1 and top-5 accuracy in percent, with 95% percentile bootstrap intervals over the images (1000 resamples).
 *
 * A resample draws as many images as there are, with replacement. Its hits follow the binomial distribution of n images
 * and the share of hits, and are drawn from that distribution at once instead of image by image.
 * @param ranks for each image, how many classes were put before the right one
 */
export function accuracies(ranks: Int32Array, seed: number): Accuracies {
  return { top1: accuracyWithin(ranks, 1, seed), top5: accuracyWithin(ranks, 5, seed) };
}

function accuracyWithin(ranks: Int32Array, within: number, seed: number): Accuracy {
  const images = ranks.length;
  const value = percentWithin(ranks, within);
  const hits = Math.round((value * images) / 100);
  if (hits === 0 || hits === images) return { value, low: value, high: value };
  const draw = binomial(images, hits / images);
  const stream = new RandomStream(seed, 'bootstrap', within);
  const resampled = Float64Array.from({ length: RESAMPLES }, () => (100 * draw(stream.uniform())) / images).sort();
  const quantile = (part: number) => resampled[Math.round(part * (RESAMPLES - 1))] as number;
  return { value, low: quantile(0.025), high: quantile(0.975) };
}

/**
 * The inverse of the cumulative binomial distribution, for 0 < share < 1. Counts more than twelve standard deviations
 * (and twelve) from the mean are left out: their probability is below 1e-12.
 */
function binomial(count: number, share: number): (uniform: number) => number {
  const mean = count * share;
  const reach = 12 * Math.sqrt(mean * (1 - share)) + 12;
  const first = Math.max(0, Math.floor(mean - reach));
  const last = Math.min(count, Math.ceil(mean + reach));
  const mode = Math.min(last, Math.max(first, Math.floor(mean)));
  // In proportion to the mode's probability: P(n + 1) / P(n) = (count - n) / (n + 1) * share / (1 - share)
  const odds = share / (1 - share);
  const cumulative = new Float64Array(last - first + 1);
  cumulative[mode - first] = 1;
  for (let n = mode; n < last; n++) {
    cumulative[n + 1 - first] = ((cumulative[n - first] as number) * (count - n) * odds) / (n + 1);
  }
  for (let n = mode; n > first; n--) {
    cumulative[n - 1 - first] = ((cumulative[n - first] as number) * n) / ((count - n + 1) * odds);
  }
  for (let at = 1; at < cumulative.length; at++)
    cumulative[at] = (cumulative[at] as number) + (cumulative[at - 1] as number);
  const total = cumulative[cumulative.length - 1] as number;
  return (uniform) => {
    let [low, high] = [0, cumulative.length - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((cumulative[middle] as number) > uniform * total) high = middle;
      else low = middle + 1;
    }
    return first + low;
  };
}
