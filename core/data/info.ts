import type { Amounts } from '../base/transfer-progress.js';
import type { ImageCollection, LabelledImages } from '../plugin.js';
import { type Census, type ClassSpread, spreadOf, takeCensus } from './census.js';
import { endsOfClasses, type Inspection, inspectImages } from './inspect.js';
import type { OpenedDataSet } from './labelled.js';
import { askPlugin } from './named.js';

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

export interface InfoOptions {
  /** Reads every image, not only the first and the last one of each class. */
  checkAll: boolean;
  pixelLimit: number;
  amounts: Amounts;
  signal: AbortSignal;
}

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
  const splits: SplitInfo[] = [];
  for (const split of ['train', 'test'] as const) {
    const part: LabelledImages = labelled[split];
    if (part.length === 0) continue; // a note says so
    const census: Census = takeCensus(part, labelled.classes.length);
    const perClass = spreadOf(census, labelled.classes);
    splits.push(await describeSplit(split, part, endsOfClasses(census), perClass, options));
  }
  const { classes, notes = [] } = labelled;
  return { ...facts, labelled: true, classes: classes.length, splits, notes };
}

/** Holds the data set's files against their checksums. */
async function checkFiles(
  { dataSet, argument }: OpenedDataSet,
  { amounts, signal }: InfoOptions,
): Promise<readonly string[] | null> {
  const check = dataSet.check?.bind(dataSet);
  if (!check) return null;
  const progress = amounts.start('checking', 'bytes');
  try {
    return await askPlugin(() => check(argument, progress.update, signal));
  } finally {
    progress.stop();
  }
}

async function describeSplit(
  split: SplitInfo['split'],
  images: ImageCollection,
  ends: readonly number[],
  perClass: ClassSpread | null,
  { checkAll, pixelLimit, amounts, signal }: InfoOptions,
): Promise<SplitInfo> {
  const indices = checkAll ? Array.from({ length: images.length }, (_, index) => index) : ends;
  const progress = amounts.start(`reading ${split}`, 'images');
  try {
    const tell = (done: number) => progress.update(done, indices.length);
    const inspection = await inspectImages(images, indices, pixelLimit, tell, signal);
    return { split, description: images.description, images: images.length, perClass, ...inspection };
  } finally {
    progress.stop();
  }
}
