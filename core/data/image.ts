import type { RandomStream } from '../base/random.js';
import type { ImageItem } from '../contract/data-sets.js';
import { randomChanges } from './augment/jitter.js';
import { type CropBox, type CropSettings, randomCropBox } from './crop.js';
import type { Picture } from './picture.js';
import { readPicture } from './read-picture.js';
import { resample } from './resample/resample.js';

/**
 * A random resized crop of an image, bilinear with antialiasing (the reference's), then the changes that the settings ask for.
 * @returns RGB, [S, S, 3]
 * @throws Error if the image cannot be read; its message is the reason, in one line
 */
export async function randomCrop(item: ImageItem, settings: CropSettings, stream: RandomStream): Promise<Uint8Array> {
  const { imageSize, cropScale, cropAspect, pixelLimit } = settings;
  const picture = await readPicture(item, pixelLimit);
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
