import { count, type TransferConsole } from '../base/console.js';
import { inOrder } from '../base/pool.js';
import type { ImageCollection, LabelledData, LabelledImages } from '../contract/data-sets.js';
import { middleOf } from './crop.js';
import { askPlugin, type OpenedDataSet } from './open.js';
import type { Size } from './picture.js';
import { readPicture } from './read-picture.js';
import { unreadableReason } from './skipped.js';

/** What is found out about a data set that is there. */
export type DataInfo = Awaited<ReturnType<typeof describeDataSet>>;

export interface SplitInfo extends Inspection {
  split: 'train' | 'test' | 'all';
  description: string;
  images: number;
  perClass: ReturnType<typeof spreadOf> | null;
}

/** What reading some images of a split showed. */
export interface Inspection {
  read: number;
  unreadable: { name: string; reason: string }[];
  /** Smallest and largest width and height of those that were read, in pixels; null where there was none. */
  sizes: { width: [number, number]; height: [number, number] } | null;
}

export interface ClassCount {
  name: string;
  images: number;
}

export interface InfoOptions {
  /** Reads every image, not only the first and the last one of each class. */
  checkAll: boolean;
  pixelLimit: number;
  console: TransferConsole;
  signal: AbortSignal;
}

const CONCURRENCY = 4;

/** Most classes that are shown, and pictures of a class where few and where many classes are. */
const MAX_CLASSES = 24;
const FEW_CLASSES = 10;
const PICTURES = { few: 10, many: 6 };
/** Side of a picture as it is read, in pixels; smaller ones keep theirs. */
const SIDE = 176;

export interface ExampleRow {
  name: string;
  /** How many images it has, for people. */
  amount: string;
  /** RGB, [side, side, 3] each. */
  pictures: readonly { side: number; rgb: Uint8Array }[];
}

/**
 * Counts and checks the images of a data set.
 * @returns also `argument`, what opens it after its name and a colon, null for nothing; `damaged`: files that do not fit their
 * checksums, one line each, null where there are no checksums, or they were not checked
 */
export async function describeDataSet(opened: OpenedDataSet, options: InfoOptions) {
  const { dataSet, argument, labelled, images } = opened;
  const damaged = options.checkAll ? await checkFiles(opened, options) : null;
  const facts = { name: dataSet.name, summary: dataSet.summary, argument, damaged };
  const splits: SplitInfo[] = [];
  if (!labelled) {
    if (images) splits.push(await describeSplit('all', images, [0, images.length - 1], null, options));
    return { ...facts, labelled: false, classes: null, splits, notes: images?.notes ?? [] };
  }
  const { classes, notes = [] } = labelled;
  for (const split of ['train', 'test'] as const) {
    if (labelled[split].length === 0) continue; // a note says so
    const members = classMembers(labelled[split], classes.length);
    const ends = members.flatMap((indices) => [indices[0], indices.at(-1)]).filter((index) => index !== undefined);
    splits.push(await describeSplit(split, labelled[split], ends, spreadOf(members, classes), options));
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

/** The smallest, the median (the lower one of two) and the largest class, of equal ones the first; how many have no image. */
export function spreadOf(members: readonly ArrayLike<number>[], names: readonly string[]) {
  const counts = members.map(({ length }, at): ClassCount => ({ name: names[at], images: length }));
  const order = [...counts].sort((a, b) => a.images - b.images);
  const [smallest, median] = [order[0], order[(order.length - 1) >> 1]];
  const largest = order.find(({ images }) => images === order.at(-1)?.images);
  if (!smallest || !median || !largest) throw new Error('a data set without classes');
  return { smallest, median, largest, empty: counts.filter(({ images }) => images === 0).length };
}

async function checkFiles({ dataSet, argument }: OpenedDataSet, { console, signal }: InfoOptions) {
  if (!dataSet.check) return null;
  const progress = console.transfer('checking', 'bytes');
  const check = async () => dataSet.check?.(argument, progress.update, signal) ?? null;
  return askPlugin(check).finally(progress.stop);
}

/** @param ends the images that are read, where not all are; they may be named twice */
async function describeSplit(
  split: SplitInfo['split'],
  images: ImageCollection,
  ends: readonly number[],
  perClass: SplitInfo['perClass'],
  { checkAll, pixelLimit, console, signal }: InfoOptions,
): Promise<SplitInfo> {
  const { description, length } = images;
  const info: SplitInfo = { split, description, images: length, perClass, read: 0, unreadable: [], sizes: null };
  const chosen = checkAll ? Array.from({ length }, (_, at) => at) : [...new Set(ends)].sort((a, b) => a - b);
  const progress = console.transfer(`reading ${split}`, 'images');
  const read = async (index: number) => {
    const item = images.item(index);
    try {
      const size = await readPicture(item, pixelLimit);
      info.sizes = widen(info.sizes, size); // not read before the await, during which other images change it
      return [];
    } catch (error) {
      return [{ name: item.name, reason: unreadableReason(error) }];
    }
  };
  try {
    for await (const found of inOrder(chosen, read, { concurrency: CONCURRENCY, ahead: CONCURRENCY })) {
      signal.throwIfAborted();
      info.unreadable.push(...found);
      progress.update(++info.read, chosen.length);
    }
    return info;
  } finally {
    progress.stop();
  }
}

function widen(sizes: SplitInfo['sizes'], { width, height }: Size): SplitInfo['sizes'] {
  const wider = ([low, high] = [Number.POSITIVE_INFINITY, 0], value: number): [number, number] => [
    Math.min(low, value),
    Math.max(high, value),
  ];
  return { width: wider(sizes?.width, width), height: wider(sizes?.height, height) };
}

/** Examples of the training images: of all classes, or of some that are spread evenly over their list. */
export async function classExamples({ classes, train }: LabelledData, pixelLimit: number): Promise<ExampleRow[]> {
  const members = classMembers(train, classes.length);
  const shown = spread([...classes.keys()], MAX_CLASSES);
  const rows: ExampleRow[] = [];
  const most = shown.length > FEW_CLASSES ? PICTURES.many : PICTURES.few;
  for (const at of shown) {
    const pictures = await readSome(train, spread(members[at], most), pixelLimit);
    rows.push({ name: classes[at], amount: count(members[at].length, 'image'), pictures });
  }
  return rows;
}

/** Examples of images without classes. */
export async function imageExamples(images: ImageCollection, pixelLimit: number): Promise<ExampleRow[]> {
  const indices = Array.from({ length: images.length }, (_, index) => index);
  const pictures = await readSome(images, spread(indices, 2 * PICTURES.few), pixelLimit);
  return [
    { name: 'images', amount: count(images.length, 'image'), pictures: pictures.slice(0, PICTURES.few) },
    { name: '', amount: '', pictures: pictures.slice(PICTURES.few) },
  ].filter((row) => row.pictures.length > 0);
}

/** The middles of images; those that cannot be read are left out. */
async function readSome(images: ImageCollection, indices: readonly number[], pixelLimit: number) {
  const read = async (index: number) => {
    try {
      const picture = await readPicture(images.item(index), pixelLimit);
      const side = Math.min(SIDE, picture.width, picture.height);
      return [{ side, rgb: middleOf(picture, side) }];
    } catch (error) {
      unreadableReason(error);
      return [];
    }
  };
  return (await Promise.all(indices.map(read))).flat();
}

/** At most `most` of some numbers, evenly spread. */
function spread(numbers: readonly number[], most: number): number[] {
  const length = Math.min(numbers.length, most);
  return Array.from({ length }, (_, at) => numbers[Math.floor(((at + 0.5) * numbers.length) / length)]);
}
