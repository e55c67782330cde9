import sharp, { type Sharp, type SharpOptions } from 'sharp';
import { contentKind } from '../../base/content-kind.js';
import type { Picture } from '../picture.js';
import { withEndMark } from './end-mark.js';
import { bandsOf, type FloatBands } from './tiff.js';

type Format = 'jpeg' | 'png' | 'webp' | 'gif' | 'tiff' | 'avif';

/** How files of each kind begin, in hexadecimal digits. */
const BEGINNINGS: readonly [RegExp, Format][] = [
  [/^ffd8ff/, 'jpeg'],
  [/^89504e470d0a1a0a/, 'png'],
  [/^47494638(37|39)61/, 'gif'],
  [/^52494646.{8}57454250/, 'webp'],
  [/^(4949(2a|2b)00|4d4d00(2a|2b))/, 'tiff'],
  [/^.{8}66747970/, 'avif'],
];

/** What a file is by its content, whatever its name; null for what is not read. */
export function formatOf(bytes: Uint8Array): Format | null {
  const start = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(16, bytes.length)).toString('hex');
  return BEGINNINGS.find(([beginning]) => beginning.test(start))?.[1] ?? null;
}

/** Why a file of another content is not read. Others could have more files read, or take any time to draw. */
export function whatElse(bytes: Uint8Array): string {
  if (bytes.length === 0) return 'it is empty';
  return `its content is ${contentKind(bytes) ?? 'no picture of JPEG, PNG, WebP, AVIF, GIF or TIFF'}`;
}

/**
 * Decodes a picture whole.
 * @throws Error of one or more lines, which may be those of another picture: see `decodeAgain`
 */
export async function decodePicture(bytes: Uint8Array, pixelLimit: number): Promise<Picture> {
  const limitInputPixels = Math.max(1, Math.floor(pixelLimit)); // 0 would be no limit
  const options: SharpOptions = { autoOrient: true, failOn: 'error', limitInputPixels, pages: 1 };
  const format = formatOf(bytes);
  const bands = format === 'tiff' ? bandsOf(bytes) : 'usual';
  const input = () => sharp(bytes, options);
  if (typeof bands === 'object') return floatPicture(input(), bands);
  if (bands === 'undeclared') return rgbOf(input().removeAlpha());
  try {
    return await rgbOf(input().flatten({ background: 'white' }));
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

/**
 * A picture of floating-point numbers from 0 (black) to 1 (white), as RGB bytes.
 * @throws Error if numbers are outside that range, which nobody can tell how to show
 */
async function floatPicture(image: Sharp, { colours, alpha }: FloatBands): Promise<Picture> {
  const { space } = await image.metadata();
  const { data, info } = await image
    .toColourspace(space ?? 'multiband')
    .raw({ depth: 'float' })
    .toBuffer({ resolveWithObject: true });
  const { width, height, channels } = info;
  if ((colours !== 1 && colours !== 3) || channels < colours + Number(alpha)) {
    throw new Error(`it has ${channels} bands of floating-point numbers, not grey or RGB`);
  }
  const aligned = data.byteOffset % 4 === 0 ? data : new Uint8Array(data);
  const values = new Float32Array(aligned.buffer, aligned.byteOffset, width * height * channels);
  const rgb = new Uint8Array(width * height * 3);
  let [least, most] = [0, 1];
  for (let pixel = 0; pixel < width * height; pixel++) {
    const from = pixel * channels;
    const cover = alpha ? values[from + colours] : 1;
    for (let colour = 0; colour < 3; colour++) {
      const value = values[from + Math.min(colour, colours - 1)];
      if (!(value >= least)) least = value;
      if (!(value <= most)) most = value;
      rgb[pixel * 3 + colour] = Math.round((value * cover + 1 - cover) * 255);
    }
  }
  if (least === 0 && most === 1) return { width, height, rgb };
  const [from, to] = [least, most].map((value) => Number(value.toPrecision(3)));
  throw new Error(`its samples are floating-point numbers from ${from} to ${to}, not from 0 to 1`);
}
