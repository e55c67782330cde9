import { percentWithin } from './ranks.js';
import type { Accuracies, Accuracy } from './result.js';

/** 97.5% of a standard normal distribution lie below. */
const Z = 1.959964;

/**
 * Top-1 and top-5 accuracy in percent, with 95% intervals over the images.
 * @param ranks for each image, how many classes were put before the right one
 */
export function accuracies(ranks: Int32Array): Accuracies {
  return { top1: accuracyWithin(ranks, 1), top5: accuracyWithin(ranks, 5) };
}

/**
 * Wilson's score interval (1927) of a share p of n images, which is no point where p is 0 or 1:
 *
 *   (p + z²/2n ± z √(p (1 - p) / n + z²/4n²)) / (1 + z²/n)
 */
function accuracyWithin(ranks: Int32Array, within: number): Accuracy {
  const value = percentWithin(ranks, within);
  const images = ranks.length;
  if (images === 0) return { value, low: 0, high: 100 };
  const share = value / 100;
  const part = Z ** 2 / images;
  const middle = (share + part / 2) / (1 + part);
  const reach = Math.sqrt(share * (1 - share) * part + part ** 2 / 4) / (1 + part);
  // Rounding errors must not put the value outside.
  return {
    value,
    low: Math.min(value, Math.max(0, 100 * (middle - reach))),
    high: Math.max(value, Math.min(100, 100 * (middle + reach))),
  };
}
