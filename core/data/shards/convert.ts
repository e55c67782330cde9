import { readFile } from 'node:fs/promises';
import type { ImageItem } from '../../plugin.js';
import { checkImage } from '../image.js';
import { BACKGROUND, openImage } from '../sharp-image.js';
import { extensionOf } from './tar-write.js';

export interface ConvertSettings {
  /** Shorter side to which larger images are brought, in pixels; null for none. */
  resize: number | null;
  /** Of their JPEG, from 1 to 100. */
  quality: number;
  pixelLimit: number;
}

/** An image file as it goes into a shard. */
export interface Converted {
  bytes: Uint8Array;
  /** Whether these are the bytes of the source. */
  isUnchanged: boolean;
  /** Of its format, such as 'jpg'; null where that of its name is right. */
  extension: string | null;
}

/** Extensions of formats that readers of shards know; others become PNG. */
const EXTENSIONS: Readonly<Record<string, string>> = {
  jpeg: 'jpg',
  png: 'png',
  webp: 'webp',
  gif: 'gif',
  tiff: 'tif',
  heif: 'avif',
};

/**
 * Reads an image to its end and makes it smaller where that is asked for: upright, sRGB, on white, as JPEG.
 * @throws Error if the image cannot be read; its message is the reason, in one line
 */
export async function convertImage(item: ImageItem, settings: ConvertSettings): Promise<Converted> {
  const { resize, quality, pixelLimit } = settings;
  const bytes = typeof item.source === 'string' ? await readFile(item.source) : await item.source();
  const inMemory = { name: item.name, source: async () => bytes };
  const { input, width, height } = await openImage(inMemory, pixelLimit);
  if (resize !== null && Math.min(width, height) > resize) {
    const side = width <= height ? { width: resize } : { height: resize };
    const smaller = input.resize(side).flatten({ background: BACKGROUND }).toColourspace('srgb');
    return { bytes: await smaller.jpeg({ quality }).toBuffer(), isUnchanged: false, extension: 'jpg' };
  }
  await checkImage(inMemory, pixelLimit);
  if (extensionOf(item.place ?? item.name) !== '') return { bytes, isUnchanged: true, extension: null };
  const extension = EXTENSIONS[(await input.metadata()).format ?? ''];
  if (extension !== undefined) return { bytes, isUnchanged: true, extension };
  return { bytes: await input.png().toBuffer(), isUnchanged: false, extension: 'png' };
}
