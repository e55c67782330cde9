import sharp, { type Sharp } from 'sharp';
import type { ImageItem } from '../plugin.js';
import type { RandomStream } from '../random.js';
import { type CropBox, type CropSettings, randomCropBox } from './crop.js';

/** What transparent parts are laid on. */
const BACKGROUND = { r: 255, g: 255, b: 255 };

/**
 * A random resized crop of an image, then the changes that the settings ask for.
 * @returns RGB, [S, S, 3]
 * @throws Error if the image cannot be read; its message is the reason, in one line
 */
export async function randomCrop(item: ImageItem, settings: CropSettings, stream: RandomStream): Promise<Uint8Array> {
  const { input, width, height } = await openImage(item, settings.pixelLimit);
  const box = randomCropBox(width, height, settings.cropScale, settings.cropAspect, stream);
  const cropped = cut(input, box, settings.imageSize);
  return rawRgb(augment(cropped, settings, stream), settings.imageSize);
}

/**
 * The largest square in the middle of an image, scaled.
 * @returns RGB, [S, S, 3]
 * @throws Error if the image cannot be read; its message is the reason, in one line
 */
export async function centreCrop(item: ImageItem, imageSize: number, pixelLimit: number): Promise<Uint8Array> {
  const { input, width, height } = await openImage(item, pixelLimit);
  const side = Math.min(width, height);
  const box = { left: (width - side) >> 1, top: (height - side) >> 1, width: side, height: side };
  return rawRgb(cut(input, box, imageSize), imageSize);
}

/** An image and its size when upright. */
async function openImage(
  { source }: ImageItem,
  pixelLimit: number,
): Promise<{ input: Sharp; width: number; height: number }> {
  const bytes = typeof source === 'string' ? source : await source();
  const input = sharp(bytes, { autoOrient: true, failOn: 'error', limitInputPixels: pixelLimit, pages: 1 });
  const metadata = await input.metadata();
  const { width, height } = metadata.autoOrient;
  if (width * height > pixelLimit) {
    throw new Error(`it has ${width} x ${height} pixels, more than the limit of ${pixelLimit}`);
  }
  return { input, width, height };
}

/** Bilinear with antialiasing, as the reference's torchvision transform. */
function cut(input: Sharp, box: CropBox, side: number): Sharp {
  return input.extract(box).resize(side, side, { fit: 'fill', kernel: 'linear', fastShrinkOnLoad: false });
}

/**
 * Flip, colour jitter and blur, each drawn from the stream in this order whether it is used or not, so that turning one
 * on leaves the others as they were. Brightness, saturation and hue are changed in LCh, contrast in RGB (torchvision,
 * which the reference uses, works in RGB and HSV).
 */
function augment(image: Sharp, { flip, jitter, blur }: CropSettings, stream: RandomStream): Sharp {
  const flipped = stream.chance(flip);
  const around = (strength: number) => stream.uniform(1 - strength, 1 + strength);
  const colour = {
    brightness: around(0.8 * jitter),
    saturation: around(0.8 * jitter),
    hue: stream.uniform(-72, 72) * jitter,
  };
  const contrast = around(0.8 * jitter);
  const blurred = stream.chance(blur);
  const sigma = stream.uniform(0.3, 2);
  let result = flipped ? image.flop() : image;
  if (jitter > 0) {
    result = result
      .modulate({
        brightness: Math.max(0.01, colour.brightness),
        saturation: Math.max(0.01, colour.saturation),
        hue: Math.round(colour.hue),
      })
      .linear(contrast, 128 * (1 - contrast));
  }
  return blurred ? result.blur(sigma) : result;
}

async function rawRgb(image: Sharp, side: number): Promise<Uint8Array> {
  const { data, info } = await image
    .flatten({ background: BACKGROUND })
    .toColourspace('srgb')
    .raw({ depth: 'uchar' })
    .toBuffer({ resolveWithObject: true });
  if (info.channels !== 3 || info.width !== side || info.height !== side) {
    throw new Error(`it came out as ${info.width} x ${info.height} pixels of ${info.channels} channels`);
  }
  return data;
}
