import { setTimeout } from 'node:timers/promises';
import { getEnvironmentData, isMainThread, setEnvironmentData } from 'node:worker_threads';
import sharp from 'sharp';
import { reasonOf } from '../base/errors.js';
import { readRegularFile, readRegularFileSync } from '../base/files.js';
import type { ImageItem } from '../contract/data-sets.js';
import { decodePicture, formatOf, whatElse } from './decode/decode.js';
import type { Picture } from './picture.js';

/** Most times that a failing picture is decoded. */
const ATTEMPTS = 8;
/** What sharp says where libvips' buffer was emptied before it could read it. */
const NO_REASON = 'Unknown error';

/** Before the lines of libvips that tell what is wrong with a header; it may have none. */
const CORRUPT_HEADER = /^Input (?:buffer|file) has corrupt header:/;

/** What the reader of AVIF leaves where it looks for the end of a file. */
const PROBING = /^source: bad seek to /;

/**
 * Reads a picture, whole: the one way from a file to pixels, for every command. It is turned upright by its EXIF
 * orientation and brought to sRGB by its profile; transparent parts lie on white, the first frame stands for all.
 * @param pixelLimit pictures of more pixels are refused
 * @throws Error if it cannot be read; its message is the reason, in one line, and the same every time
 */
export async function readPicture(item: ImageItem, pixelLimit: number): Promise<Picture> {
  return decodeBytes(item, await bytesOf(item), pixelLimit);
}

/** The same for an image whose content is there. */
export async function decodeBytes({ source }: ImageItem, bytes: Uint8Array, pixelLimit: number): Promise<Picture> {
  const isDrawing = formatOf(bytes) === null;
  // A file that somebody has may be anything; what a plugin makes may be drawn.
  if (isDrawing && typeof source !== 'function') throw new Error(whatElse(bytes));
  try {
    return await decodeTogether(() => decodePicture(bytes, pixelLimit));
  } catch (error) {
    if (isDrawing) throw new Error(reasonOf(error), { cause: error }); // a plugin's; it may take long to draw
    return decodeAgain(bytes, pixelLimit);
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

/**
 * Decodes a picture again that could not be decoded, alone, until it fails in the same way twice in a row: a failure takes
 * along what others left in libvips' buffer, and who writes pictures meanwhile empties it.
 * @throws Error with the picture's own reason, in one line
 */
async function decodeAgain(bytes: Uint8Array, pixelLimit: number): Promise<Picture> {
  return decodeAlone(async () => {
    let reason = '';
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      try {
        return await decodePicture(bytes, pixelLimit); // as when memory was short before
      } catch (error) {
        const before = reason;
        reason = reasonIn(error instanceof Error ? error.message : String(error), bytes);
        if (reason === before && reason !== NO_REASON) break;
      }
    }
    throw new Error(
      /exceeds pixel limit/.test(reason) ? await tooLarge(bytes, pixelLimit).catch(() => reason) : reason,
    );
  });
}

async function tooLarge(bytes: Uint8Array, pixelLimit: number): Promise<string> {
  const { autoOrient } = await sharp(bytes, { limitInputPixels: false }).metadata();
  return `it has ${autoOrient.width} x ${autoOrient.height} pixels, more than the limit of ${pixelLimit}`;
}

/** All lines of a message as one, each once. */
function reasonIn(message: string, bytes: Uint8Array): string {
  const lines = message
    .replace(CORRUPT_HEADER, '')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !PROBING.test(line));
  const reason = [...new Set(lines)].join('; ');
  if (!CORRUPT_HEADER.test(message)) return reason || 'it is damaged';
  const format = formatOf(bytes);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const isSized = format === 'png' && bytes.length >= 24;
  const size = isSized ? ` of a picture of ${view.getUint32(16)} x ${view.getUint32(20)} pixels` : '';
  return `its ${format?.toUpperCase() ?? 'file'} header${size} is damaged${reason && `: ${reason}`}`;
}

// libvips has one buffer of error messages for all threads of the process, so that a failing picture may be given the
// reason of another one that fails at the same time. Who wants the true reason decodes alone.

/** Places in the shared memory: decodings that are under way; whether one is alone, or waits to be. */
const ACTIVE = 0;
const ALONE = 1;
/** Milliseconds until who waits looks again: only where a picture is damaged does anybody wait. */
const PAUSE = 1;

/** Under which threads have the memory by which they take turns. */
const TURNS = 'turns of decoding';

/** The memory by which threads take turns; those that this thread starts from now on share it. */
export function sharedTurns(): Int32Array {
  const shared = getEnvironmentData(TURNS);
  if (shared instanceof Int32Array) return shared;
  const made = new Int32Array(new SharedArrayBuffer(8));
  setEnvironmentData(TURNS, made);
  return made;
}

/** Decodes, or writes a picture, while others may, in any thread. */
export async function decodeTogether<T>(decode: () => Promise<T>): Promise<T> {
  const state = sharedTurns();
  for (;;) {
    Atomics.add(state, ACTIVE, 1);
    if (Atomics.load(state, ALONE) === 0) break;
    Atomics.sub(state, ACTIVE, 1);
    await setTimeout(PAUSE);
  }
  try {
    return await decode();
  } finally {
    Atomics.sub(state, ACTIVE, 1);
  }
}

async function decodeAlone<T>(decode: () => Promise<T>): Promise<T> {
  const state = sharedTurns();
  while (Atomics.compareExchange(state, ALONE, 0, 1) !== 0) await setTimeout(PAUSE);
  try {
    while (Atomics.load(state, ACTIVE) > 0) await setTimeout(PAUSE);
    return await decode();
  } finally {
    Atomics.store(state, ALONE, 0);
  }
}
