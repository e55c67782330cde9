import { statSync } from 'node:fs';
import { join, posix } from 'node:path';
import sharp from 'sharp';
import { attempt, reasonOf, UserError } from '../base/errors.js';
import { systemPath } from '../base/file-names.js';
import { readRegularFile } from '../base/files.js';
import { RandomStream } from '../base/random.js';
import type { ImageItem, LabelledImages } from '../contract/data-sets.js';
import { type ClassMask, readClassMask } from '../data/decode/png-ids.js';
import { openFolders } from '../data/folder.js';
import { decodeTogether } from '../data/read-picture.js';
import { pickImages, withoutLabels } from './labelled-data.js';

/** Pixels of this number are of no class. */
export const IGNORED = 255;

export interface MaskedImages extends LabelledImages {
  /** The classes of the pixels of image number `index`, of the size of that image. */
  mask(index: number): Promise<ClassMask>;
}

/** Pictures whose pixels have classes. */
export interface MaskedData {
  readonly description: string;
  /** Numbers of the classes as masks have them, in order. */
  readonly classes: readonly number[];
  readonly train: MaskedImages;
  readonly test: MaskedImages;
}

const LAYOUT =
  'DIR/images with pictures and DIR/masks with PNGs of the same names, or both with train and val below them';
/** Of the pictures, where there are no folders for training and testing. */
const TEST_PART = 0.2;

/**
 * Opens a folder of pictures with masks, and looks at every mask: DIR/{train,val}/{images,masks}, DIR/{images,masks}/{train,val},
 * or DIR/{images,masks}, of which a random fifth is for testing. A mask is an indexed or grey PNG with the number of a class
 * for each pixel of its picture, and 255 where there is none.
 * @param word DIR, or folder:DIR
 * @param seed of the random fifth
 * @throws UserError for another folder, missing or unreadable masks, those of another size than their picture, or classes that
 *   training has not
 */
export async function openMasked(word: string, seed: number, pixelLimit: number): Promise<MaskedData> {
  const root = word.replace(/^folder:/, '');
  const { train, test } = await openParts(root, seed, pixelLimit);
  const found = { train: await classesOf(train, pixelLimit), test: await classesOf(test, pixelLimit) };
  const classes = [...found.train].sort((a, b) => a - b);
  const unknown = [...found.test].filter((id) => !found.train.has(id)).sort((a, b) => a - b);
  if (unknown.length > 0) {
    throw new UserError(`classes ${unknown.join(', ')} are in masks for testing alone (${root})`, {
      expected: 'classes that some mask for training has, too',
      remedy: `move some of their pictures to those for training, or mark their pixels as ${IGNORED}`,
    });
  }
  if (classes.length < 2) {
    throw new UserError(`the masks for training in ${root} have ${classes.length} classes`, {
      expected: 'at least two',
    });
  }
  return { description: root, classes, train, test };
}

async function openParts(
  root: string,
  seed: number,
  pixelLimit: number,
): Promise<{ train: MaskedImages; test: MaskedImages }> {
  const isFolder = (...names: string[]) =>
    attempt(() => statSync(systemPath(join(root, ...names))).isDirectory(), false);
  const open = (images: string, masks: string) => openPairs(join(root, images), join(root, masks), pixelLimit);
  if (isFolder('train', 'images')) {
    return { train: await open('train/images', 'train/masks'), test: await open('val/images', 'val/masks') };
  }
  if (isFolder('images', 'train')) {
    return { train: await open('images/train', 'masks/train'), test: await open('images/val', 'masks/val') };
  }
  if (!isFolder('images') || !isFolder('masks')) {
    throw new UserError(`${root} is no folder of pictures with masks`, { expected: LAYOUT });
  }
  const all = await open('images', 'masks');
  if (all.length < 2)
    throw new UserError(`${root} has one picture`, { expected: 'pictures for training and for testing' });
  const order = [...new RandomStream(seed, 'masks for testing').permutation(all.length)];
  const count = Math.max(1, Math.round(TEST_PART * all.length));
  const pick = (numbers: readonly number[], what: string): MaskedImages => {
    const chosen = numbers.toSorted((a, b) => a - b);
    return { ...pickImages(all, chosen, `${what}, seed ${seed}`), mask: (index) => all.mask(chosen[index]) };
  };
  return { train: pick(order.slice(count), 'for training'), test: pick(order.slice(0, count), 'for testing') };
}

/** Pictures of a folder with the masks of the same names in another. */
async function openPairs(images: string, masks: string, pixelLimit: number): Promise<MaskedImages> {
  const listed = await openFolders([images]);
  const pathOf = (index: number) => {
    const { dir, name } = posix.parse(listed.item(index).place ?? '');
    return join(masks, dir, `${name}.png`);
  };
  const all = Array.from({ length: listed.length }, (_, index) => index);
  const missing = all.filter((index) => !attempt(() => statSync(systemPath(pathOf(index))).isFile(), false));
  if (missing.length > 0) {
    const examples = missing.slice(0, 3).map((index) => listed.item(index).name);
    const more = missing.length > 3 ? ', ...' : '';
    throw new UserError(
      `${missing.length} of ${listed.length} pictures have no mask in ${masks}: ${examples.join(', ')}${more}`,
      {
        expected: `a PNG of the same name, such as ${pathOf(missing[0])}`,
        remedy: 'add the masks, or take the pictures away',
      },
    );
  }
  const mask = async (index: number) => {
    const path = pathOf(index);
    try {
      return readClassMask(await readRegularFile(path), pixelLimit);
    } catch (error) {
      throw new UserError(`the mask ${path} cannot be read: ${reasonOf(error)}`, {
        expected: `an indexed or grey PNG of 8 bits at most, with numbers of classes and ${IGNORED} for what is ignored`,
      });
    }
  };
  return { ...withoutLabels(listed), mask };
}

/** Numbers of classes in masks, each of which is held against the size of its picture. */
async function classesOf(images: MaskedImages, pixelLimit: number): Promise<Set<number>> {
  const found = new Set<number>();
  for (let index = 0; index < images.length; index++) {
    const { width, height, ids } = await images.mask(index);
    const item = images.item(index);
    const size = await sizeOf(item, pixelLimit);
    if (size.width !== width || size.height !== height) {
      throw new UserError(
        `the mask of ${item.name} has ${width} x ${height} pixels, the picture ${size.width} x ${size.height}`,
        {
          expected: 'a mask with a pixel for each of its picture, as that stands upright',
        },
      );
    }
    for (const id of ids) found.add(id);
  }
  found.delete(IGNORED);
  return found;
}

async function sizeOf({ name, source }: ImageItem, pixelLimit: number) {
  try {
    const bytes = typeof source === 'string' ? await readRegularFile(source) : await source();
    const limitInputPixels = Math.max(1, Math.floor(pixelLimit));
    return (await decodeTogether(() => sharp(bytes, { limitInputPixels }).metadata())).autoOrient;
  } catch (error) {
    throw new UserError(`the picture ${name} cannot be read: ${reasonOf(error)}`, {
      expected: 'pictures that are whole',
    });
  }
}
