import sharp, { type Sharp, type SharpOptions } from 'sharp';
import type { Picture } from '../picture.js';
import { withEndMark } from './end-mark.js';
import { floatPicture } from './floats.js';
import { formatOf } from './format.js';
import { bandsOf } from './tiff.js';

/** A file's content that is to be decoded. */
export interface DecodeRequest {
  bytes: Uint8Array;
  pixelLimit: number;
}

/** What transparent parts are laid on. */
const BACKGROUND = { r: 255, g: 255, b: 255 };

/**
 * Decodes a picture whole.
 * @throws Error of one or more lines, which may be those of another picture: see `decodeAgain`
 */
export async function decodePicture({ bytes, pixelLimit }: DecodeRequest): Promise<Picture> {
  const limitInputPixels = Math.max(1, Math.floor(pixelLimit)); // 0 would be no limit
  const options: SharpOptions = { autoOrient: true, failOn: 'error', limitInputPixels, pages: 1 };
  const format = formatOf(bytes);
  const bands = format === 'tiff' ? bandsOf(bytes) : { kind: 'usual' as const };
  const input = () => sharp(bytes, options);
  if (bands.kind === 'float') return floatPicture(input(), bands);
  if (bands.kind === 'undeclared') return rgbOf(input().removeAlpha());
  try {
    return await rgbOf(input().flatten({ background: BACKGROUND }));
  } catch (error) {
    const whole = format === 'jpeg' ? withEndMark(bytes) : null;
    if (!whole) throw error;
    return rgbOf(sharp(whole, { ...options, failOn: 'warning' }));
  }
}

/** A picture's RGB bytes, every colour space as sRGB. */
async function rgbOf(image: Sharp): Promise<Picture> {
  const { data, info } = await image
    .toColourspace('srgb')
    .raw({ depth: 'uchar' })
    .toBuffer({ resolveWithObject: true });
  const { width, height, channels } = info;
  if (channels === 3) return { width, height, rgb: data };
  throw new Error(`it came out as ${width} x ${height} pixels of ${channels} channels`);
}
