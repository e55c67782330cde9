import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { ImageCollection } from '../../plugin.js';
import type { ListedImages, ListingOptions } from '../folder.js';

/** Fewer files than this are listed in less than a second. */
const MANY_FILES = 20_000;
/** Milliseconds before the first line about a listing that takes long, and between two. */
const FIRST_LINE = 2000;
const NEXT_LINE = 10_000;

/** Where the listing of some data is kept in a folder of decoded pictures. */
export function listingInCache(cache: string, data: readonly string[]): string {
  const named = data.map((path) => resolve(path)).join('\0');
  return join(cache, `${createHash('sha256').update(named).digest('hex').slice(0, 16)}.listing`);
}

/**
 * How to list data of which listings may have been kept.
 * @param places files in which they would be; the first one that is there is used
 * @param say where progress is told
 */
export function listingFrom(places: readonly (string | null)[], say: (line: string) => void): ListingOptions {
  let nextLine = performance.now() + FIRST_LINE;
  return {
    known: places.find((place) => place !== null && existsSync(place)) ?? null,
    tell(files) {
      if (performance.now() < nextLine) return;
      nextLine = performance.now() + NEXT_LINE;
      say(`listing    ${files} images so far`);
    },
  };
}

/**
 * Keeps the listing of many images where it is not kept yet.
 * @throws UserError if a file cannot be written
 */
export async function keepListings(images: ImageCollection, places: readonly (string | null)[]): Promise<void> {
  if (!isListed(images) || images.length < MANY_FILES) return;
  for (const place of places) {
    if (place !== null && !(images.wasKnown && existsSync(place))) await images.keepListing(place);
  }
}

function isListed(images: ImageCollection): images is ListedImages {
  return 'keepListing' in images;
}
