import { readFileSync } from 'node:fs';
import type { ImageItem } from '../plugin.js';
import type { CacheSlot, PixelCache } from './cache/pixel-cache.js';
import type { CropBox } from './crop.js';
import { type Cut, clearMachine, cutJpeg, cutPixels, decodeScale, decodeWhole, type PixelKind } from './cut.js';
import { readJpegHeader, shapeOf } from './jpeg/header.js';
import { type Size, uprightSize } from './orientation.js';
import { openFile, rawRgb } from './sharp-image.js';

/** Pictures of more pixels than this are not decoded whole by sharp where only a part of them is needed. */
const WHOLE_PIXELS = 4e6;

/** What is wanted of an image whose size is not known yet. */
export interface Wish {
  /** Of the result, in pixels. */
  side: number;
  pixelLimit: number;
  /** The box for the size of the upright image, and the shortest side that any box could have. */
  choose(size: Size): { box: CropBox; shortest: number };
}

/** A wish for a size that is known. */
type Choose = (size: Size) => { cut: Cut; scale: number };

/**
 * Cuts a box out of an upright image and scales it to a square, bilinearly with antialiasing, as the reference's
 * torchvision transform does.
 *
 * JPEGs of the usual kind are decoded here, in a third of the time that sharp takes for decoding, cutting and scaling;
 * everything else, and what turns out to be damaged, is decoded by sharp, and large pictures of these are cut and scaled by
 * it as well, so that they need not be held whole. Which way is taken, and so every bit of the result, depends on the image
 * and the wish alone: not on the cache.
 * @returns RGB, [S, S, 3]
 * @throws Error if the image cannot be read; its message is the reason, in one line
 */
export async function cutOut(item: ImageItem, wish: Wish, cache: PixelCache | null): Promise<Uint8Array> {
  const { side, pixelLimit } = wish;
  let choice: ReturnType<Wish['choose']> | undefined;
  const choose: Choose = (size) => {
    choice ??= wish.choose(size); // may draw from a stream: once only
    return { cut: { box: choice.box, side }, scale: decodeScale(choice.shortest, side) };
  };
  const slot = cache && typeof item.source === 'string' ? cache.slotOf(item.source) : null;
  const kept = slot?.pixels && cutKept(slot, slot.pixels, choose, pixelLimit);
  if (kept) return kept;
  const file = await fileOf(item);
  const rgb = typeof file === 'string' ? null : cutUsualJpeg(file, choose, pixelLimit, slot);
  return rgb ?? cutOther(file, typeof item.source === 'string', choose, wish, slot);
}

/** Cuts out of pixels that are kept; null where they are not those that are needed, or damaged. */
function cutKept(slot: CacheSlot, pixels: PixelKind, choose: Choose, pixelLimit: number): Uint8Array | null {
  const size = pixels.kind === 'ycc' ? uprightSize(pixels, pixels.orientation) : pixels;
  if (size.width * size.height > pixelLimit) return null;
  const { cut, scale } = choose(size);
  if (pixels.kind === 'ycc' && pixels.scale !== scale) return null;
  const machine = clearMachine();
  const address = slot.read(machine);
  return address === null ? null : cutPixels(machine, address, pixels, cut);
}

/** Cuts out of a JPEG of the usual kind; null where it is of another kind, too large or damaged. */
function cutUsualJpeg(file: Uint8Array, choose: Choose, pixelLimit: number, slot: CacheSlot | null): Uint8Array | null {
  const header = readJpegHeader(file);
  if (!header || header.width * header.height > pixelLimit) return null;
  const { cut, scale } = choose(uprightSize(header, header.orientation));
  const machine = clearMachine();
  const address = slot && decodeWhole(machine, file, header, scale);
  // What is not to be kept, and what is damaged somewhere, is decoded as far as it is needed.
  if (!slot || address === null) return cutJpeg(file, header, scale, cut);
  const pixels: PixelKind = { kind: 'ycc', scale, ...shapeOf(header) };
  slot.keep(pixels, machine, address);
  return cutPixels(machine, address, pixels, cut);
}

/** Cuts out of anything that sharp reads. */
async function cutOther(
  file: Uint8Array | string,
  isFile: boolean,
  choose: Choose,
  { side, pixelLimit }: Wish,
  slot: CacheSlot | null,
): Promise<Uint8Array> {
  const { input, width, height } = await openFile(file, pixelLimit, isFile);
  const { cut } = choose({ width, height });
  if (width * height > WHOLE_PIXELS) {
    const part = input.extract(cut.box).resize(side, side, { fit: 'fill', kernel: 'linear', fastShrinkOnLoad: false });
    return rawRgb(part, side);
  }
  const rgb = await rawRgb(input, width, height);
  const machine = clearMachine();
  const address = machine.put(rgb);
  const pixels: PixelKind = { kind: 'rgb', width, height };
  slot?.keep(pixels, machine, address);
  return cutPixels(machine, address, pixels, cut);
}

/** The content of an image's file; its path where it cannot be read, for sharp to tell why. */
async function fileOf({ source }: ImageItem): Promise<Uint8Array | string> {
  if (typeof source !== 'string') return source();
  try {
    return readFileSync(source); // in a third of the time of reading with a promise
  } catch {
    return source;
  }
}
