import type { RandomStream } from '../base/random.js';
import { roundHalfToEven } from '../base/rounding.js';
import type { ImageItem, Interpolation } from '../contract/data-sets.js';
import { flip } from '../data/augment/geometry.js';
import { randomCropBox } from '../data/crop.js';
import type { CropBox } from '../data/picture.js';
import { readPicture } from '../data/read-picture.js';
import { resample } from '../data/resample/resample.js';

/** How an evaluated network sees images. */
export interface ViewSettings {
  /** Side S of the result, in pixels. */
  imageSize: number;
  /** `crop`: parts of the image in its own proportions; `squash`: the whole image as a square. */
  transform: 'crop' | 'squash';
  /** With antialiasing; default: bicubic. */
  interpolation?: Interpolation;
  /** Images of more pixels than this are refused. */
  pixelLimit: number;
}

/** What a random crop may cover: fraction of the area, width / height. */
const CROP_SCALE = [0.08, 1] as const;
const CROP_ASPECT = [3 / 4, 4 / 3] as const;
const FLIP = 0.5;
/** The shorter side of a test image, and the side of the square that is cut out of its middle. */
const TEST_SIDES = { shorter: 256, square: 224 };

/**
 * A test image, always the same. `crop`: the shorter side is resized to S · 256/224, then the middle square of side S is
 * cut out; `squash`: resized to S x S. Bit for bit torchvision's Resize and CenterCrop by Pillow 13.
 * @returns RGB, [S, S, 3]
 * @throws Error if the image cannot be read; its message is the reason, in one line
 */
export async function testView(item: ImageItem, settings: ViewSettings): Promise<Uint8Array> {
  const { imageSize, transform, interpolation = 'bicubic', pixelLimit } = settings;
  const picture = await readPicture(item, pixelLimit);
  const box = wholeOf(picture);
  if (transform === 'squash') return resample(picture, { interpolation, box, width: imageSize, height: imageSize });
  const { width, height, left, top } = centreBox(picture.width, picture.height, imageSize);
  const window = { left, top, width: imageSize, height: imageSize };
  return resample(picture, { interpolation, box, width, height, window });
}

/**
 * A random view for training. `crop`: a box of 8% to 100% of the area and of aspect ratio 3/4 to 4/3, resized to S x S;
 * `squash`: the whole image resized to S x S. Then a left-right flip with probability 1/2.
 * @returns RGB, [S, S, 3]
 * @throws Error if the image cannot be read; its message is the reason, in one line
 */
export async function trainView(item: ImageItem, settings: ViewSettings, stream: RandomStream): Promise<Uint8Array> {
  const { imageSize, transform, interpolation = 'bicubic', pixelLimit } = settings;
  const picture = await readPicture(item, pixelLimit);
  const box =
    transform === 'squash'
      ? wholeOf(picture)
      : randomCropBox(picture.width, picture.height, CROP_SCALE, CROP_ASPECT, stream);
  const rgb = resample(picture, { interpolation, box, width: imageSize, height: imageSize });
  return stream.chance(FLIP) ? flip({ rgb, width: imageSize, height: imageSize }).rgb : rgb;
}

/**
 * The size to which a test image is resized, and where its middle square of side `imageSize` then lies (torchvision's
 * Resize and CenterCrop, which round halves to even numbers).
 */
export function centreBox(width: number, height: number, imageSize: number): CropBox {
  const shorter = Math.floor((imageSize * TEST_SIDES.shorter) / TEST_SIDES.square);
  const longer = Math.floor((shorter * Math.max(width, height)) / Math.min(width, height));
  const resized = width <= height ? { width: shorter, height: longer } : { width: longer, height: shorter };
  return {
    ...resized,
    left: roundHalfToEven((resized.width - imageSize) / 2),
    top: roundHalfToEven((resized.height - imageSize) / 2),
  };
}

function wholeOf({ width, height }: { width: number; height: number }): CropBox {
  return { left: 0, top: 0, width, height };
}
