import type { TransferConsole } from '../base/console.js';
import type { ImageCollection, LabelledImages } from '../contract/data-sets.js';
import { askPlugin, type OpenedDataSet } from './open.js';
import type { Size } from './picture.js';
import { readPicture } from './read-picture.js';
import { unreadableReason } from './skipped.js';

/** What is found out about a data set that is there. */
export interface DataInfo {
  name: string;
  summary: string;
  /** What opens it after its name and a colon; null for nothing. */
  argument: string | null;
  labelled: boolean;
  classes: number | null;
  splits: SplitInfo[];
  notes: readonly string[];
  /** Files that do not fit their checksums, one line each; null where there are no checksums, or they were not checked. */
  damaged: readonly string[] | null;
}

export interface SplitInfo extends Inspection {
  split: 'train' | 'test' | 'all';
  description: string;
  images: number;
  perClass: ClassSpread | null;
}

/** What reading some images of a split showed. */
export interface Inspection {
  read: number;
  unreadable: { name: string; reason: string }[];
  /** Smallest and largest width and height of those that were read, in pixels; null where there was none. */
  sizes: { width: [number, number]; height: [number, number] } | null;
}

/** A class and how many images it has. */
export interface ClassCount {
  name: string;
  images: number;
}

export interface ClassSpread {
  smallest: ClassCount;
  /** The lower one of two. */
  median: ClassCount;
  largest: ClassCount;
  /** Classes without an image. */
  empty: number;
}

export interface InfoOptions {
  /** Reads every image, not only the first and the last one of each class. */
  checkAll: boolean;
  pixelLimit: number;
  console: TransferConsole;
  signal: AbortSignal;
}

/** Images that are read at the same time. */
const CONCURRENCY = 4;

/** Counts and checks the images of a data set. */
export async function describeDataSet(opened: OpenedDataSet, options: InfoOptions): Promise<DataInfo> {
  const { dataSet, argument, labelled, images } = opened;
  const damaged = options.checkAll ? await checkFiles(opened, options) : null;
  const facts = { name: dataSet.name, summary: dataSet.summary, argument, damaged };
  if (!labelled) {
    const ends = images ? [...new Set([0, images.length - 1])] : [];
    const splits = images ? [await describeSplit('all', images, ends, null, options)] : [];
    return { ...facts, labelled: false, classes: null, splits, notes: images?.notes ?? [] };
  }
  const { classes, notes = [] } = labelled;
  const splits: SplitInfo[] = [];
  for (const split of ['train', 'test'] as const) {
    if (labelled[split].length === 0) continue; // a note says so
    const members = classMembers(labelled[split], classes.length);
    const ends = members.flatMap((indices) => [indices[0], indices.at(-1)]).filter((index) => index !== undefined);
    const sorted = [...new Set(ends)].sort((a, b) => a - b);
    splits.push(await describeSplit(split, labelled[split], sorted, spreadOf(members, classes), options));
  }
  return { ...facts, labelled: true, classes: classes.length, splits, notes };
}

/**
 * The numbers of the images of each class, in their order. Opens none.
 * @throws Error if an image has a class that does not exist
 */
export function classMembers(images: LabelledImages, classes: number): number[][] {
  const members = Array.from({ length: classes }, (): number[] => []);
  for (let index = 0; index < images.length; index++) {
    const label = images.classOf(index);
    const own = members[label];
    if (!own) throw new Error(`image ${index} of ${images.description} has class ${label} of ${classes}`);
    own.push(index);
  }
  return members;
}

/** The smallest, the median and the largest class; of equal ones the first. */
export function spreadOf(members: readonly ArrayLike<number>[], names: readonly string[]): ClassSpread {
  const counts = members.map(({ length }, at) => ({ name: names[at] as string, images: length }));
  const order = [...counts].sort((a, b) => a.images - b.images);
  const [smallest, median] = [order[0], order[(order.length - 1) >> 1]];
  const largest = order.find(({ images }) => images === order.at(-1)?.images);
  if (!smallest || !median || !largest) throw new Error('a data set without classes');
  return { smallest, median, largest, empty: counts.filter(({ images }) => images === 0).length };
}

/** Holds the data set's files against their checksums. */
async function checkFiles(
  { dataSet, argument }: OpenedDataSet,
  { console, signal }: InfoOptions,
): Promise<readonly string[] | null> {
  const check = dataSet.check?.bind(dataSet);
  if (!check) return null;
  const progress = console.transfer('checking', 'bytes');
  return askPlugin(() => check(argument, progress.update, signal)).finally(progress.stop);
}

/** @param ends the images that are read, where not all are */
async function describeSplit(
  split: SplitInfo['split'],
  images: ImageCollection,
  ends: readonly number[],
  perClass: ClassSpread | null,
  { checkAll, pixelLimit, console, signal }: InfoOptions,
): Promise<SplitInfo> {
  const { description, length } = images;
  const info: SplitInfo = { split, description, images: length, perClass, read: 0, unreadable: [], sizes: null };
  const total = checkAll ? length : ends.length;
  const progress = console.transfer(`reading ${split}`, 'images');
  const read = async (at: number) => {
    const item = images.item(checkAll ? at : (ends[at] as number));
    return readPicture(item, pixelLimit).then(
      ({ width, height }) => ({ width, height }), // without the pixels
      (error: unknown) => ({ name: item.name, reason: unreadableReason(error) }),
    );
  };
  try {
    for (let start = 0; start < total; start += CONCURRENCY) {
      signal.throwIfAborted();
      const count = Math.min(CONCURRENCY, total - start);
      for (const found of await Promise.all(Array.from({ length: count }, (_, at) => read(start + at)))) {
        if ('reason' in found) info.unreadable.push(found);
        else info.sizes = widen(info.sizes, found);
      }
      info.read = start + count;
      progress.update(info.read, total);
    }
    return info;
  } finally {
    progress.stop();
  }
}

function widen(sizes: Inspection['sizes'], { width, height }: Size): Inspection['sizes'] {
  const wider = ([low, high] = [Number.POSITIVE_INFINITY, 0], value: number): [number, number] => [
    Math.min(low, value),
    Math.max(high, value),
  ];
  return { width: wider(sizes?.width, width), height: wider(sizes?.height, height) };
}
