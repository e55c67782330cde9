import { RandomStream } from '../base/random.js';
import type { ImageItem } from '../contract/data-sets.js';
import { randomChanges } from './augment/jitter.js';
import { type CropBox, type CropSettings, randomCropBox } from './crop.js';
import type { Picture } from './picture.js';
import { readPicture } from './read-picture.js';
import { resample } from './resample/resample.js';

/** Crops of each image: `count` squares of the same settings. */
export interface View {
  name: string;
  count: number;
  crop: CropSettings;
}

/** Bytes of all crops of an image. */
export function viewBytes(views: readonly View[]): number {
  return views.reduce((sum, { count, crop }) => sum + count * crop.imageSize ** 2 * 3, 0);
}

/**
 * The crops of an image for all views, decoded once. The first crop of the first view is drawn from the stream
 * ('crop', ...counters), others from ('crop/VIEW', number, ...counters): a view more leaves those before it as they were.
 * @returns RGB, one after the other: [S, S, 3] for each crop of each view
 * @throws Error if the image cannot be read; its message is the reason, in one line
 */
export async function randomCrops(
  item: ImageItem,
  views: readonly View[],
  seed: number,
  counters: readonly number[],
): Promise<Uint8Array> {
  const picture = await readPicture(item, views[0]?.crop.pixelLimit ?? 1);
  const result = new Uint8Array(viewBytes(views));
  let at = 0;
  for (const { name, count, crop } of views) {
    for (let number = 0; number < count; number++) {
      const isFirst = at === 0;
      const stream = isFirst
        ? new RandomStream(seed, 'crop', ...counters)
        : new RandomStream(seed, `crop/${name}`, number, ...counters);
      const rgb = cropOf(picture, crop, stream);
      result.set(rgb, at);
      at += rgb.length;
    }
  }
  return result;
}

/** A random resized crop, bilinear with antialiasing (the reference's), then the changes that the settings ask for. */
export function cropOf(picture: Picture, settings: CropSettings, stream: RandomStream): Uint8Array {
  const { imageSize, cropScale, cropAspect } = settings;
  const box = randomCropBox(picture.width, picture.height, cropScale, cropAspect, stream);
  const rgb = square(picture, box, imageSize);
  return randomChanges({ rgb, width: imageSize, height: imageSize }, settings, stream).rgb;
}

/**
 * The largest square in the middle of an image, scaled.
 * @returns RGB, [S, S, 3]
 * @throws Error if the image cannot be read; its message is the reason, in one line
 */
export async function centreCrop(item: ImageItem, imageSize: number, pixelLimit: number): Promise<Uint8Array> {
  return middleOf(await readPicture(item, pixelLimit), imageSize);
}

/** The largest square in the middle of a picture, scaled. @returns RGB, [S, S, 3] */
export function middleOf(picture: Picture, imageSize: number): Uint8Array {
  const { width, height } = picture;
  const side = Math.min(width, height);
  const box = { left: (width - side) >> 1, top: (height - side) >> 1, width: side, height: side };
  return square(picture, box, imageSize);
}

function square(picture: Picture, box: CropBox, side: number): Uint8Array {
  return resample(picture, { interpolation: 'bilinear', box, width: side, height: side });
}
