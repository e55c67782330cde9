import sharp, { type Sharp } from 'sharp';
import type { ImageItem } from '../plugin.js';
import type { Size } from './orientation.js';

/** What transparent parts are laid on. */
export const BACKGROUND = { r: 255, g: 255, b: 255 };

export interface OpenedImage extends Size {
  input: Sharp;
}

/** An image, opened by sharp, and its size when upright. */
export async function openImage({ source }: ImageItem, pixelLimit: number): Promise<OpenedImage> {
  return openFile(typeof source === 'string' ? source : await source(), pixelLimit);
}

/** @param file a path, or the content of a file */
export async function openFile(file: string | Uint8Array, pixelLimit: number): Promise<OpenedImage> {
  const input = sharp(file, { autoOrient: true, failOn: 'error', limitInputPixels: pixelLimit, pages: 1 });
  const { width, height } = (await input.metadata()).autoOrient;
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
