import type { LabelledImages } from '../plugin.js';

/** How the images of a split are shared among classes. */
export interface Census {
  images: number;
  /** Images of each class. */
  counts: readonly number[];
  /** The numbers of the images of each class, in their order. */
  members: readonly Uint32Array[];
}

/** A class and how many images it has. */
export interface ClassCount {
  name: string;
  images: number;
}

export interface ClassSpread {
  smallest: ClassCount;
  median: ClassCount;
  largest: ClassCount;
  /** Classes without an image. */
  empty: number;
}

/**
 * Counts the images of each class. Opens none.
 * @throws Error if an image has a class that does not exist
 */
export function takeCensus(images: LabelledImages, classes: number): Census {
  const labels = Uint32Array.from({ length: images.length }, (_, index) => {
    const label = images.classOf(index);
    if (Number.isInteger(label) && label >= 0 && label < classes) return label;
    throw new Error(`image ${index} of ${images.description} has class ${label} of ${classes}`);
  });
  const counts = Array<number>(classes).fill(0);
  for (const label of labels) counts[label] = (counts[label] as number) + 1;
  const members = counts.map((count) => new Uint32Array(count));
  const filled = Array<number>(classes).fill(0);
  labels.forEach((label, index) => {
    const place = filled[label] as number;
    (members[label] as Uint32Array)[place] = index;
    filled[label] = place + 1;
  });
  return { images: images.length, counts, members };
}

/** The smallest, the median (the lower one of two) and the largest class; of equal ones the first. */
export function spreadOf({ counts }: Census, names: readonly string[]): ClassSpread {
  const order = counts.map((images, at) => ({ name: names[at] as string, images })).sort((a, b) => a.images - b.images);
  const [smallest, median] = [order[0], order[(order.length - 1) >> 1]];
  const largest = order.find(({ images }) => images === order.at(-1)?.images);
  if (!smallest || !median || !largest) throw new Error('a data set without classes');
  return { smallest, median, largest, empty: counts.filter((count) => count === 0).length };
}
