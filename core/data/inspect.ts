import type { ImageCollection } from '../plugin.js';
import type { Census } from './census.js';
import { readPicture, type Size } from './picture.js';
import { unreadableReason } from './skipped.js';

/** What reading some images of a split showed. */
export interface Inspection {
  read: number;
  unreadable: { name: string; reason: string }[];
  /** Smallest and largest width and height of those that were read, in pixels; null where there was none. */
  sizes: { width: [number, number]; height: [number, number] } | null;
}

/** Images that are read at the same time. */
const AT_ONCE = 4;

/** The first and the last image of each class. */
export function endsOfClasses({ members }: Census): number[] {
  const ends = members.flatMap((indices) => [indices[0], indices.at(-1)]);
  return [...new Set(ends.filter((index) => index !== undefined))].sort((a, b) => a - b);
}

/**
 * Reads images to their ends.
 * @param indices which ones
 * @param tell is told how many are done
 */
export async function inspectImages(
  images: ImageCollection,
  indices: ArrayLike<number>,
  pixelLimit: number,
  tell: (done: number) => void,
  signal?: AbortSignal,
): Promise<Inspection> {
  const inspection: Inspection = { read: 0, unreadable: [], sizes: null };
  for (let start = 0; start < indices.length; start += AT_ONCE) {
    signal?.throwIfAborted();
    const some = Array.from({ length: Math.min(AT_ONCE, indices.length - start) }, (_, at) => {
      return images.item(indices[start + at] as number);
    });
    const found = await Promise.all(
      some.map((item) =>
        readPicture(item, pixelLimit).then(sizeOf, (error: unknown) => ({
          name: item.name,
          reason: unreadableReason(error),
        })),
      ),
    );
    for (const result of found) {
      if ('reason' in result) inspection.unreadable.push(result);
      else inspection.sizes = widen(inspection.sizes, result);
    }
    inspection.read += found.length;
    tell(inspection.read);
  }
  return inspection;
}

function widen(sizes: Inspection['sizes'], { width, height }: Size): Inspection['sizes'] {
  if (!sizes) return { width: [width, width], height: [height, height] };
  const stretch = ([low, high]: [number, number], value: number): [number, number] => [
    Math.min(low, value),
    Math.max(high, value),
  ];
  return { width: stretch(sizes.width, width), height: stretch(sizes.height, height) };
}

/** The size alone, so that the pixels need not be kept. */
function sizeOf({ width, height }: Size): Size {
  return { width, height };
}
