import sharp, { type Sharp } from 'sharp';
import type { ImageItem } from '../plugin.js';
import type { Size } from './orientation.js';

/** What an image file may be; others could have more files read, or take any time to draw. */
const FORMATS = ['jpeg', 'png', 'webp', 'heif', 'gif', 'tiff'];

/** What transparent parts are laid on. */
export const BACKGROUND = { r: 255, g: 255, b: 255 };

export interface OpenedImage extends Size {
  input: Sharp;
}

/** An image, opened by sharp, and its size when upright. */
export async function openImage({ source }: ImageItem, pixelLimit: number): Promise<OpenedImage> {
  const isFile = typeof source === 'string';
  return openFile(isFile ? source : await source(), pixelLimit, isFile);
}

/**
 * @param file a path, or the content of a file
 * @param isFile whether it is a file that somebody has, which may be anything, or content that a plugin made
 */
export async function openFile(file: string | Uint8Array, pixelLimit: number, isFile: boolean): Promise<OpenedImage> {
  const input = sharp(file, { autoOrient: true, failOn: 'error', limitInputPixels: pixelLimit, pages: 1 });
  const { autoOrient, format } = await input.metadata();
  if (isFile && !FORMATS.includes(format)) {
    throw new Error(`its content is ${format}, not JPEG, PNG, WebP, AVIF, GIF or TIFF`);
  }
  const { width, height } = autoOrient;
  if (width * height > pixelLimit) {
    throw new Error(`it has ${width} x ${height} pixels, more than the limit of ${pixelLimit}`);
  }
  return { input, width, height };
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
