import { RandomStream } from '../base/random.js';
import type { ImageItem } from '../contract/data-sets.js';
import { type ChangeSettings, randomChanges } from './augment/random.js';
import type { CropBox, Picture } from './picture.js';
import { readPicture } from './read-picture.js';
import { resample } from './resample/resample.js';

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

export type View = ViewSpec & { readonly crop: CropSettings };

/** How a run's options say that images are cut out and changed. */
export function cropSettings(options: Omit<CropSettings, 'pixelLimit'> & { maxMegapixels: number }): CropSettings {
  const { imageSize, cropScale, cropAspect, flip, jitter, blur, maxMegapixels } = options;
  return { imageSize, cropScale, cropAspect, flip, jitter, blur, pixelLimit: Math.floor(maxMegapixels * 1e6) };
}

/** Bytes of all crops of an image. */
export function viewBytes(views: readonly View[]): number {
  return views.reduce((sum, { count, crop }) => sum + count * crop.imageSize ** 2 * 3, 0);
}

/**
 * The crops of an image for all views, decoded once: each a random resized crop, bilinear with antialiasing (the
 * reference's), then the changes that the settings ask for. The first crop of the first view is drawn from the stream
 * ('crop', ...counters), others from ('crop/VIEW', number, ...counters): a view more leaves those before it as they were.
 * @param result where they go
 * @returns RGB, one after the other: [S, S, 3] for each crop of each view
 * @throws Error if the image cannot be read; its message is the reason, in one line
 */
export async function randomCrops(
  item: ImageItem,
  views: readonly View[],
  seed: number,
  counters: readonly number[],
  result: Uint8Array = new Uint8Array(viewBytes(views)),
): Promise<Uint8Array> {
  return cropsOf(await readPicture(item, views[0]?.crop.pixelLimit ?? 1), views, seed, counters, result);
}

/** The same of a picture that is decoded. */
export function cropsOf(
  picture: Picture,
  views: readonly View[],
  seed: number,
  counters: readonly number[],
  result: Uint8Array,
): Uint8Array {
  let at = 0;
  for (const { name, count, crop } of views) {
    for (let number = 0; number < count; number++) {
      const stream = new RandomStream(seed, at === 0 ? 'crop' : `crop/${name}/${number}`, ...counters);
      const { imageSize, cropScale, cropAspect } = crop;
      const box = randomCropBox(picture.width, picture.height, cropScale, cropAspect, stream);
      const rgb = square(picture, box, imageSize);
      result.set(randomChanges({ rgb, width: imageSize, height: imageSize }, crop, stream).rgb, at);
      at += rgb.length;
    }
  }
  return result;
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
  return square(picture, middleBox(picture.width, picture.height, [1, 1]), imageSize);
}

function square(picture: Picture, box: CropBox, side: number): Uint8Array {
  return resample(picture, { interpolation: 'bilinear', box, width: side, height: side });
}

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

/** The largest box in the middle whose aspect ratio is allowed. */
function middleBox(imageWidth: number, imageHeight: number, aspect: readonly [number, number]): CropBox {
  const ratio = Math.min(aspect[1], Math.max(aspect[0], imageWidth / imageHeight));
  const width = Math.max(1, Math.min(imageWidth, Math.round(imageHeight * ratio)));
  const height = Math.max(1, Math.min(imageHeight, Math.round(imageWidth / ratio)));
  return { left: (imageWidth - width) >> 1, top: (imageHeight - height) >> 1, width, height };
}
