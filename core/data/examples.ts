import { count } from '../base/console.js';
import type { ImageCollection, LabelledData } from '../plugin.js';
import type { SheetRow } from '../report/contact-sheet.js';
import { takeCensus } from './census.js';
import { middleOf } from './image.js';
import { readPicture } from './picture.js';
import { unreadableReason } from './skipped.js';

/** Most classes that are shown, and pictures of a class where few and where many classes are. */
const MOST_CLASSES = 24;
const FEW_CLASSES = 10;
const PICTURES = { few: 10, many: 6 };
/** Side of a picture as it is read, in pixels; smaller ones keep theirs. */
const SIDE = 176;

/** Examples of the training images: of all classes, or of some that are spread evenly over their list. */
export async function classExamples({ classes, train }: LabelledData, pixelLimit: number): Promise<SheetRow[]> {
  const { members } = takeCensus(train, classes.length);
  const shown = spread(classes.length, MOST_CLASSES);
  const pictures = shown.length > FEW_CLASSES ? PICTURES.many : PICTURES.few;
  const rows: SheetRow[] = [];
  for (const at of shown) {
    const indices = members[at] as Uint32Array;
    rows.push({
      name: classes[at] as string,
      amount: count(indices.length, 'image'),
      pictures: await readSome(train, indices, pictures, pixelLimit),
    });
  }
  return rows;
}

/** Examples of images without classes. */
export async function imageExamples(images: ImageCollection, pixelLimit: number): Promise<SheetRow[]> {
  const indices = Uint32Array.from({ length: images.length }, (_, index) => index);
  const pictures = await readSome(images, indices, 2 * PICTURES.few, pixelLimit);
  return [
    { name: 'images', amount: count(images.length, 'image'), pictures: pictures.slice(0, PICTURES.few) },
    { name: '', amount: '', pictures: pictures.slice(PICTURES.few) },
  ].filter((row) => row.pictures.length > 0);
}

/** Images that are spread evenly over those of a class; those that cannot be read are left out. */
async function readSome(
  images: ImageCollection,
  indices: Uint32Array,
  most: number,
  pixelLimit: number,
): Promise<SheetRow['pictures']> {
  const pictures = await Promise.all(
    spread(indices.length, most).map(async (at) => {
      const item = images.item(indices[at] as number);
      try {
        const picture = await readPicture(item, pixelLimit);
        const side = Math.min(SIDE, picture.width, picture.height);
        return { side, rgb: middleOf(picture, side) };
      } catch (error) {
        unreadableReason(error);
        return null;
      }
    }),
  );
  return pictures.filter((picture) => picture !== null);
}

/** At most `most` of the numbers below `length`, evenly spread. */
function spread(length: number, most: number): number[] {
  const chosen = Math.min(length, most);
  return Array.from({ length: chosen }, (_, at) => Math.floor(((at + 0.5) * length) / chosen));
}
