import sharp, { type Sharp } from 'sharp';
import type { ImageItem } from '../plugin.js';
import type { RandomStream } from '../random.js';
import { type CropBox, type CropSettings, randomCropBox } from './crop.js';

/** What an image file may be; others could have more files read, or take any time to draw. */
const FORMATS = ['jpeg', 'png', 'webp', 'heif', 'gif', 'tiff'];

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
  const rgb = await rawRgb(cut(input, box, settings.imageSize), settings.imageSize);
  return augment(rgb, settings, stream);
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

/**
 * Reads an image to its end, as what is cut out of it may not.
 * @returns its size when upright, in pixels
 * @throws Error if the image cannot be read; its message is the reason, in one line
 */
export async function checkImage(item: ImageItem, pixelLimit: number): Promise<{ width: number; height: number }> {
  const { input, width, height } = await openImage(item, pixelLimit);
  await input.resize(8, 8, { fit: 'fill', kernel: 'linear', fastShrinkOnLoad: false }).raw().toBuffer();
  return { width, height };
}

/** An image and its size when upright. */
export async function openImage(
  { source }: ImageItem,
  pixelLimit: number,
): Promise<{ input: Sharp; width: number; height: number }> {
  const bytes = typeof source === 'string' ? source : await source();
  const input = sharp(bytes, { autoOrient: true, failOn: 'error', limitInputPixels: pixelLimit, pages: 1 });
  const metadata = await input.metadata();
  const { width, height } = metadata.autoOrient;
  if (typeof source === 'string' && !FORMATS.includes(metadata.format)) {
    throw new Error(`its content is ${metadata.format}, not JPEG, PNG, WebP, AVIF, GIF or TIFF`);
  }
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
 * on leaves the others as they were. Contrast is changed about the crop's mean in RGB, then brightness, saturation and
 * hue in LCh (torchvision, which the reference uses, works in RGB and HSV).
 * @param rgb [S, S, 3]
 */
async function augment(rgb: Uint8Array, settings: CropSettings, stream: RandomStream): Promise<Uint8Array> {
  const { flip, jitter, blur, imageSize } = settings;
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
  if (!flipped && jitter === 0 && !blurred) return rgb;
  let result = fromRgb(rgb, imageSize);
  if (flipped) result = result.flop();
  if (jitter > 0) {
    const mean = rgb.reduce((sum, value) => sum + value, 0) / rgb.length;
    const contrasted = await rawRgb(result.linear(contrast, mean * (1 - contrast)), imageSize);
    result = fromRgb(contrasted, imageSize).modulate({
      brightness: Math.max(0.01, colour.brightness),
      saturation: Math.max(0.01, colour.saturation),
      hue: Math.round(colour.hue),
    });
  }
  return rawRgb(blurred ? result.blur(sigma) : result, imageSize);
}

function fromRgb(rgb: Uint8Array, side: number): Sharp {
  return sharp(rgb, { raw: { width: side, height: side, channels: 3 } });
}

/** A picture's RGB bytes, [S, S, 3]: transparent parts on white, every colour space as sRGB. */
export async function rawRgb(image: Sharp, side: number): Promise<Uint8Array> {
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
