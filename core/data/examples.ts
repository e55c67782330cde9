import { count } from '../base/console.js';
import type { ImageCollection, LabelledData } from '../contract/data-sets.js';
import { middleOf } from './crop.js';
import { classMembers } from './info.js';
import { readPicture } from './read-picture.js';
import { unreadableReason } from './skipped.js';

/** A class with some of its images. */
export interface ExampleRow {
  name: string;
  /** How many images it has, for people. */
  amount: string;
  /** RGB, [side, side, 3] each. */
  pictures: readonly { side: number; rgb: Uint8Array }[];
}

/** Most classes that are shown, and pictures of a class where few and where many classes are. */
const MAX_CLASSES = 24;
const FEW_CLASSES = 10;
const PICTURES = { few: 10, many: 6 };
/** Side of a picture as it is read, in pixels; smaller ones keep theirs. */
const SIDE = 176;

/** Examples of the training images: of all classes, or of some that are spread evenly over their list. */
export async function classExamples({ classes, train }: LabelledData, pixelLimit: number): Promise<ExampleRow[]> {
  const members = classMembers(train, classes.length);
  const shown = spread([...classes.keys()], MAX_CLASSES);
  const rows: ExampleRow[] = [];
  for (const at of shown) {
    const indices = members[at] as number[];
    const some = spread(indices, shown.length > FEW_CLASSES ? PICTURES.many : PICTURES.few);
    const amount = count(indices.length, 'image');
    rows.push({ name: classes[at] as string, amount, pictures: await readSome(train, some, pixelLimit) });
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
async function readSome(
  images: ImageCollection,
  indices: readonly number[],
  pixelLimit: number,
): Promise<ExampleRow['pictures']> {
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
  return Array.from({ length }, (_, at) => numbers[Math.floor(((at + 0.5) * numbers.length) / length)] as number);
}
