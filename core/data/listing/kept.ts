import { existsSync } from 'node:fs';
import type { ImageCollection } from '../../plugin.js';
import type { ListedImages, ListingOptions } from '../folder.js';

/** Fewer files than this are listed in less than a second. */
const MANY_FILES = 20_000;
/** Milliseconds before the first line about a listing that takes long, and between two. */
const FIRST_LINE = 2000;
const NEXT_LINE = 10_000;

/**
 * How to list data of which a listing may have been kept.
 * @param place the file in which it would be; null where none is to be used
 * @param say where progress is told
 */
export function listingFrom(place: string | null, say: (line: string) => void): ListingOptions {
  let nextLine = performance.now() + FIRST_LINE;
  return {
    known: place,
    tell(files) {
      if (performance.now() < nextLine) return;
      nextLine = performance.now() + NEXT_LINE;
      say(`listing    ${files} images so far`);
    },
  };
}

/**
 * Keeps the listing of many images where it is not kept yet.
 * @throws UserError if the file cannot be written
 */
export async function keepListing(images: ImageCollection, place: string): Promise<void> {
  if (!isListed(images) || images.length < MANY_FILES) return;
  if (!(images.wasKnown && existsSync(place))) await images.keepListing(place);
}

function isListed(images: ImageCollection): images is ListedImages {
  return 'keepListing' in images;
}
