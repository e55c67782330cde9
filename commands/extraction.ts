import { UserError } from '../core/base/errors.js';
import type { ExtractionSettings } from '../core/eval/evaluate.js';

/** What the command line says of how features are computed. */
interface ExtractionFlags {
  batchSize: number;
  cacheLimit: number | null;
  maxUnreadable: number;
  maxMegapixels: number;
}

/**
 * How features are computed.
 * @param cache the folder in which they are kept; null for none
 * @throws UserError where something limits a cache that there is not
 */
export function extractionSettings(
  { batchSize, cacheLimit, maxUnreadable, maxMegapixels }: ExtractionFlags,
  cache: string | null,
): ExtractionSettings {
  if (cacheLimit !== null && cache === null) {
    throw new UserError('--cache-limit limits nothing without a cache', {
      expected: 'a folder for features beside it',
      remedy: 'name one with --cache, or leave --cache-limit out',
    });
  }
  const cacheBytes = cacheLimit !== null && { cacheBytes: cacheLimit * 1e6 };
  return { batchSize, cache, ...cacheBytes, pixelLimit: Math.floor(maxMegapixels * 1e6), maxUnreadable };
}
