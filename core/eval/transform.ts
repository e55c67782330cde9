import type { Sharp } from 'sharp';
import { randomCropBox } from '../data/crop.js';
import { openImage, rawRgb } from '../data/sharp-image.js';
import type { ImageItem } from '../plugin.js';
import type { RandomStream } from '../random.js';

/** How an evaluated network sees images. */
export interface ViewSettings {
  /** Side S of the result, in pixels. */
  imageSize: number;
  /** `crop`: parts of the image in its own proportions; `squash`: the whole image as a square. */
  transform: 'crop' | 'squash';
  /** Images of more pixels than this are refused. */
  pixelLimit: number;
}

/** What a random crop may cover: part of the area, width / height. */
const CROP_SCALE = [0.08, 1] as const;
const CROP_ASPECT = [3 / 4, 4 / 3] as const;
const FLIP = 0.5;
/** The shorter side of a test image, and the side of the square that is cut out of its middle. */
const TEST_SIDES = { shorter: 256, square: 224 };

/**
 * A test image, always the same. `crop`: the shorter side is resized to S · 256/224, then the middle square of side S is
 * cut out; `squash`: resized to S x S. Bicubic with antialiasing.
 * @returns RGB, [S, S, 3]
 * @throws Error if the image cannot be read; its message is the reason, in one line
 */
export async function testView(item: ImageItem, settings: ViewSettings): Promise<Uint8Array> {
  const { imageSize, transform, pixelLimit } = settings;
  const { input, width, height } = await openImage(item, pixelLimit);
  if (transform === 'squash') return rawRgb(resize(input, imageSize, imageSize), imageSize);
  const box = centreBox(width, height, imageSize);
  const { left, top } = box;
  const middle = resize(input, box.width, box.height).extract({ left, top, width: imageSize, height: imageSize });
  return rawRgb(middle, imageSize);
}

/**
 * A random view for training. `crop`: a box of 8% to 100% of the area and of aspect ratio 3/4 to 4/3, resized to S x S;
 * `squash`: the whole image resized to S x S. Then a left-right flip with probability 1/2. Bicubic with antialiasing.
 * @returns RGB, [S, S, 3]
 * @throws Error if the image cannot be read; its message is the reason, in one line
 */
export async function trainView(item: ImageItem, settings: ViewSettings, stream: RandomStream): Promise<Uint8Array> {
  const { imageSize, transform, pixelLimit } = settings;
  const { input, width, height } = await openImage(item, pixelLimit);
  const part =
    transform === 'squash' ? input : input.extract(randomCropBox(width, height, CROP_SCALE, CROP_ASPECT, stream));
  const view = resize(part, imageSize, imageSize);
  return rawRgb(stream.chance(FLIP) ? view.flop() : view, imageSize);
}

/**
 * The size to which a test image is resized, and where its middle square of side `imageSize` then lies (torchvision's
 * Resize and CenterCrop).
 */
export function centreBox(
  width: number,
  height: number,
  imageSize: number,
): { width: number; height: number; left: number; top: number } {
  const shorter = Math.floor((imageSize * TEST_SIDES.shorter) / TEST_SIDES.square);
  const longer = Math.floor((shorter * Math.max(width, height)) / Math.min(width, height));
  const resized = width <= height ? { width: shorter, height: longer } : { width: longer, height: shorter };
  return {
    ...resized,
    left: Math.round((resized.width - imageSize) / 2),
    top: Math.round((resized.height - imageSize) / 2),
  };
}

/** libvips' cubic kernel is that of torchvision on pictures (Catmull-Rom, a = -0.5), widened where it shrinks. */
function resize(input: Sharp, width: number, height: number): Sharp {
  return input.resize(width, height, { fit: 'fill', kernel: 'cubic', fastShrinkOnLoad: false });
}
