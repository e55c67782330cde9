import { readFileSync } from 'node:fs';
import sharp, { type Sharp } from 'sharp';
import type { ImageItem } from '../plugin.js';
import type { RandomStream } from '../random.js';
import { type CropBox, type CropSettings, randomCropBox, shortestCrop } from './crop.js';
import { cutJpeg, cutRgb, decodeScale } from './cut.js';
import { readJpegHeader } from './jpeg/header.js';
import { type Size, uprightSize } from './orientation.js';

/** What transparent parts are laid on. */
const BACKGROUND = { r: 255, g: 255, b: 255 };
/** Pictures of more pixels than this are not decoded whole where only a part of them is needed. */
const WHOLE_PIXELS = 4e6;

/**
 * A random resized crop of an image, then the changes that the settings ask for.
 * @returns RGB, [S, S, 3]
 * @throws Error if the image cannot be read; its message is the reason, in one line
 */
export async function randomCrop(item: ImageItem, settings: CropSettings, stream: RandomStream): Promise<Uint8Array> {
  const { imageSize, cropScale, cropAspect, pixelLimit } = settings;
  const rgb = await cutOut(item, imageSize, pixelLimit, ({ width, height }) => ({
    box: randomCropBox(width, height, cropScale, cropAspect, stream),
    shortest: shortestCrop(width, height, cropScale, cropAspect),
  }));
  return augment(rgb, settings, stream);
}

/**
 * The largest square in the middle of an image, scaled.
 * @returns RGB, [S, S, 3]
 * @throws Error if the image cannot be read; its message is the reason, in one line
 */
export async function centreCrop(item: ImageItem, imageSize: number, pixelLimit: number): Promise<Uint8Array> {
  return cutOut(item, imageSize, pixelLimit, ({ width, height }) => {
    const side = Math.min(width, height);
    const box = { left: (width - side) >> 1, top: (height - side) >> 1, width: side, height: side };
    return { box, shortest: side };
  });
}

/**
 * Cuts a box out of an upright image and scales it to a square, bilinearly with antialiasing, as the reference's
 * torchvision transform does.
 *
 * JPEGs of the usual kind are decoded here, in a third of the time that sharp takes for decoding, cutting and scaling;
 * everything else, and what turns out to be damaged, is decoded by sharp, and large pictures of these are cut and scaled by
 * it as well, so that they need not be held whole. Which way is taken depends on the image alone.
 * @param choose gives the box for the size of the upright image, and the shortest side that any box could have
 */
async function cutOut(
  item: ImageItem,
  side: number,
  pixelLimit: number,
  choose: (size: Size) => { box: CropBox; shortest: number },
): Promise<Uint8Array> {
  const file = await fileOf(item);
  const header = typeof file === 'string' ? null : readJpegHeader(file);
  const size = header && uprightSize(header, header.orientation);
  if (typeof file === 'string' || !header || !size || size.width * size.height > pixelLimit) {
    const { input, width, height } = await openFile(file, pixelLimit);
    const { box } = choose({ width, height });
    return cutBySharp(input, { width, height }, box, side);
  }
  const { box, shortest } = choose(size);
  const rgb = cutJpeg(file, header, decodeScale(shortest, side), box, side);
  return rgb ?? cutBySharp((await openFile(file, pixelLimit)).input, size, box, side);
}

/** The content of an image's file; its path where it cannot be read, for sharp to tell why. */
async function fileOf({ source }: ImageItem): Promise<Uint8Array | string> {
  if (typeof source !== 'string') return source();
  try {
    return readFileSync(source); // a third of the time of reading with a promise
  } catch {
    return source;
  }
}

async function cutBySharp(input: Sharp, size: Size, box: CropBox, side: number): Promise<Uint8Array> {
  if (size.width * size.height > WHOLE_PIXELS) return rawRgb(cut(input, box, side), side);
  return cutRgb(await rawRgb(input, size.width, size.height), size, box, side);
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

interface OpenedImage extends Size {
  input: Sharp;
}

/** An image, opened by sharp, and its size when upright. */
export async function openImage({ source }: ImageItem, pixelLimit: number): Promise<OpenedImage> {
  return openFile(typeof source === 'string' ? source : await source(), pixelLimit);
}

async function openFile(file: string | Uint8Array, pixelLimit: number): Promise<OpenedImage> {
  const input = sharp(file, { autoOrient: true, failOn: 'error', limitInputPixels: pixelLimit, pages: 1 });
  const { width, height } = (await input.metadata()).autoOrient;
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

/** A picture's RGB bytes, [height, width, 3]: transparent parts on white, every colour space as sRGB. */
export async function rawRgb(image: Sharp, width: number, height = width): Promise<Uint8Array> {
  const { data, info } = await image
    .flatten({ background: BACKGROUND })
    .toColourspace('srgb')
    .raw({ depth: 'uchar' })
    .toBuffer({ resolveWithObject: true });
  if (info.channels !== 3 || info.width !== width || info.height !== height) {
    throw new Error(`it came out as ${info.width} x ${info.height} pixels of ${info.channels} channels`);
  }
  return data;
}
