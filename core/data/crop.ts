import type { RandomStream } from '../base/random.js';
import type { ChangeSettings } from './augment/jitter.js';

/** How training images are cut out and changed. */
export interface CropSettings extends ChangeSettings {
  /** Side of the result in pixels. */
  imageSize: number;
  /** Part of the image's area that the crop covers. */
  cropScale: readonly [number, number];
  /** Width / height of the crop. */
  cropAspect: readonly [number, number];
  /** Images of more pixels than this are refused. */
  pixelLimit: number;
}

/** Crops of each image as a method wants them: `count` squares. What it leaves out is as in the run's options. */
export interface ViewSpec {
  readonly name: string;
  readonly count: number;
  readonly crop?: Partial<CropSettings>;
}

/** How a run's options say that images are cut out and changed. */
export function cropSettings(options: Omit<CropSettings, 'pixelLimit'> & { maxMegapixels: number }): CropSettings {
  const { imageSize, cropScale, cropAspect, flip, jitter, blur, maxMegapixels } = options;
  return { imageSize, cropScale, cropAspect, flip, jitter, blur, pixelLimit: Math.floor(maxMegapixels * 1e6) };
}

/** A part of an image, in whole pixels. */
export interface CropBox {
  left: number;
  top: number;
  width: number;
  height: number;
}

/** Draws before the middle of the image is taken instead. */
const DRAWS = 10;

/**
 * The box of a random resized crop: area uniform in `scale` of the image's, log of width / height uniform in `aspect`,
 * position uniform; after ten draws that do not fit, the largest box in the middle whose aspect ratio is allowed
 * (torchvision's RandomResizedCrop, which the reference uses).
 */
export function randomCropBox(
  imageWidth: number,
  imageHeight: number,
  scale: readonly [number, number],
  aspect: readonly [number, number],
  stream: RandomStream,
): CropBox {
  for (let draw = 0; draw < DRAWS; draw++) {
    const area = imageWidth * imageHeight * stream.uniform(...scale);
    const ratio = Math.exp(stream.uniform(Math.log(aspect[0]), Math.log(aspect[1])));
    const width = Math.round(Math.sqrt(area * ratio));
    const height = Math.round(Math.sqrt(area / ratio));
    if (width >= 1 && width <= imageWidth && height >= 1 && height <= imageHeight) {
      const top = stream.integer(0, imageHeight - height);
      const left = stream.integer(0, imageWidth - width);
      return { left, top, width, height };
    }
  }
  return middleBox(imageWidth, imageHeight, aspect);
}

function middleBox(imageWidth: number, imageHeight: number, aspect: readonly [number, number]): CropBox {
  const ratio = Math.min(aspect[1], Math.max(aspect[0], imageWidth / imageHeight));
  const width = Math.max(1, Math.min(imageWidth, Math.round(imageHeight * ratio)));
  const height = Math.max(1, Math.min(imageHeight, Math.round(imageWidth / ratio)));
  return { left: (imageWidth - width) >> 1, top: (imageHeight - height) >> 1, width, height };
}
