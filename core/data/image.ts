import sharp, { type Sharp } from 'sharp';
import type { ImageItem } from '../plugin.js';
import type { RandomStream } from '../random.js';
import { type CropBox, type CropSettings, randomCropBox } from './crop.js';
import { type Picture, readPicture } from './picture.js';
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
  return augment(square(picture, box, imageSize), settings, stream);
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
    const contrasted = await bytesOf(result.linear(contrast, mean * (1 - contrast)));
    result = fromRgb(contrasted, imageSize).modulate({
      brightness: Math.max(0.01, colour.brightness),
      saturation: Math.max(0.01, colour.saturation),
      hue: Math.round(colour.hue),
    });
  }
  return bytesOf(blurred ? result.blur(sigma) : result);
}

function fromRgb(rgb: Uint8Array, side: number): Sharp {
  return sharp(rgb, { raw: { width: side, height: side, channels: 3 } });
}

function bytesOf(image: Sharp): Promise<Uint8Array> {
  return image.raw({ depth: 'uchar' }).toBuffer();
}
