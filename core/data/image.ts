import sharp, { type Sharp } from 'sharp';
import type { ImageItem } from '../plugin.js';
import type { RandomStream } from '../random.js';
import type { PixelCache } from './cache/pixel-cache.js';
import { type CropSettings, randomCropBox, shortestCrop } from './crop.js';
import { cutOut } from './cut-out.js';
import type { Size } from './orientation.js';
import { openImage, rawRgb } from './sharp-image.js';

/**
 * A random resized crop of an image, then the changes that the settings ask for.
 * @param cache of decoded pictures; crops are the same bit for bit with it and without
 * @returns RGB, [S, S, 3]
 * @throws Error if the image cannot be read; its message is the reason, in one line
 */
export async function randomCrop(
  item: ImageItem,
  settings: CropSettings,
  stream: RandomStream,
  cache: PixelCache | null = null,
): Promise<Uint8Array> {
  const { imageSize, cropScale, cropAspect, pixelLimit } = settings;
  const choose = ({ width, height }: Size) => ({
    box: randomCropBox(width, height, cropScale, cropAspect, stream),
    shortest: shortestCrop(width, height, cropScale, cropAspect),
  });
  return augment(await cutOut(item, { side: imageSize, pixelLimit, choose }, cache), settings, stream);
}

/**
 * The largest square in the middle of an image, scaled.
 * @returns RGB, [S, S, 3]
 * @throws Error if the image cannot be read; its message is the reason, in one line
 */
export async function centreCrop(item: ImageItem, imageSize: number, pixelLimit: number): Promise<Uint8Array> {
  const choose = ({ width, height }: Size) => {
    const side = Math.min(width, height);
    const box = { left: (width - side) >> 1, top: (height - side) >> 1, width: side, height: side };
    return { box, shortest: side };
  };
  return cutOut(item, { side: imageSize, pixelLimit, choose }, null);
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
