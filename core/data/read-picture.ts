import { isMainThread } from 'node:worker_threads';
import { reasonOf } from '../base/errors.js';
import { readRegularFile, readRegularFileSync } from '../base/files.js';
import type { ImageItem } from '../contract/data-sets.js';
import { decodePicture } from './decode/decode.js';
import { decodeAgain } from './decode/failure.js';
import { formatOf, whatElse } from './decode/format.js';
import { decodeTogether } from './decode/turns.js';
import type { Picture } from './picture.js';

/**
 * Reads a picture, whole: the one way from a file to pixels, for every command. It is turned upright by its EXIF
 * orientation and brought to sRGB by its profile; transparent parts lie on white, the first frame stands for all.
 * @param pixelLimit pictures of more pixels are refused
 * @throws Error if it cannot be read; its message is the reason, in one line, and the same every time
 */
export async function readPicture(item: ImageItem, pixelLimit: number): Promise<Picture> {
  return decodeBytes(await bytesOf(item), isFile(item), pixelLimit);
}

/**
 * The same for a file whose content is there.
 * @param ofUser whether it is a file that somebody has, which may be anything, or one that a plugin made
 */
export async function decodeBytes(bytes: Uint8Array, ofUser: boolean, pixelLimit: number): Promise<Picture> {
  const isDrawing = formatOf(bytes) === null;
  if (isDrawing && ofUser) throw new Error(whatElse(bytes));
  const request = { bytes, pixelLimit };
  try {
    return await decodeTogether(() => decodePicture(request));
  } catch (error) {
    if (isDrawing) throw new Error(reasonOf(error), { cause: error }); // a plugin's; it may take long to draw
    return decodeAgain(request);
  }
}

/** The content of an image's file. */
export async function bytesOf({ source }: ImageItem): Promise<Uint8Array> {
  if (typeof source === 'function') return source();
  if (isMainThread) return readRegularFile(source);
  try {
    return readRegularFileSync(source);
  } catch {
    return readRegularFile(source); // gives the reason, the same in every thread
  }
}

/** Whether an image is a file that somebody has. */
export function isFile({ source }: ImageItem): boolean {
  return typeof source !== 'function';
}
