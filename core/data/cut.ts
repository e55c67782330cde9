import type { CropBox } from './crop.js';
import { arrangePlanes, decodePlanes, layoutsOf, planesAt, type Wanted, wholePlanes } from './jpeg/decode.js';
import type { JpegHeader, JpegShape } from './jpeg/header.js';
import { type Size, storedBox, turnUpright } from './orientation.js';
import { PixelMachine } from './pixel-machine.js';
import { resampleRgb, resampleYcc, type Sampling, samplingOf } from './resample/resample.js';

const SCALES = [8, 4, 2] as const;

/** Decoded pixels of a whole picture: the planes of a JPEG at 1 / `scale` of its size, or RGB bytes, [height, width, 3]. */
export type PixelKind = ({ kind: 'ycc'; scale: number } & JpegShape) | ({ kind: 'rgb' } & Size);

/** What is to be cut out: a box, in pixels of the upright picture, which becomes a square. */
export interface Cut {
  box: CropBox;
  side: number;
}

/**
 * The part of its size at which a JPEG is decoded, as 1, 2, 4 or 8: the smallest that leaves every crop at least as many
 * pixels as it is to have. The same for all crops of a picture, so that a kept copy serves them all.
 * @param shortest the shortest side that a crop can have, in pixels
 */
export function decodeScale(shortest: number, side: number): number {
  return SCALES.find((scale) => shortest / scale >= side) ?? 1;
}

/**
 * Decodes a JPEG as far as a cut needs it: blocks outside it are not transformed, rows below it not even read.
 * @returns RGB, [S, S, 3]; null where the compressed data are damaged
 */
export function cutJpeg(bytes: Uint8Array, header: JpegHeader, scale: number, cut: Cut): Uint8Array | null {
  const machine = clearMachine();
  const samplings = yccSamplings(header, scale, cut);
  const wanted = { luma: wantedBy(samplings.luma), chroma: wantedBy(samplings.chroma) };
  const address = decodePlanes(machine, bytes, header, scale, wanted);
  return address === null ? null : finishYcc(machine, address, header, scale, wanted, samplings, cut);
}

/**
 * Decodes the whole of a JPEG, at 1 / `scale` of its size, for `cutPixels`.
 * @returns the address of its pixels in the machine; null where the compressed data are damaged
 */
export function decodeWhole(
  machine: PixelMachine,
  bytes: Uint8Array,
  header: JpegHeader,
  scale: number,
): number | null {
  return decodePlanes(machine, bytes, header, scale, wholePlanes(layoutsOf(header, scale)));
}

/** Bytes of the pixels of a whole picture in the machine's memory: a multiple of 16. */
export function pixelBytes(pixels: PixelKind): number {
  if (pixels.kind === 'rgb') return (pixels.width * pixels.height * 3 + 15) & ~15;
  return arrangePlanes(pixels, pixels.scale, wholePlanes(layoutsOf(pixels, pixels.scale))).bytes;
}

/** Cuts out of the pixels of a whole picture: bit for bit what is cut out of its file. @returns RGB, [S, S, 3] */
export function cutPixels(machine: PixelMachine, address: number, pixels: PixelKind, cut: Cut): Uint8Array {
  if (pixels.kind === 'ycc') {
    const whole = wholePlanes(layoutsOf(pixels, pixels.scale));
    const samplings = yccSamplings(pixels, pixels.scale, cut);
    return finishYcc(machine, address, pixels, pixels.scale, whole, samplings, cut);
  }
  const { width, height } = pixels;
  const layout = { scale: 1, halvedAcross: false, halvedDown: false, width, height };
  const plane = { address, stride: width * 3, left: 0, top: 0 };
  return resampleRgb(machine, plane, samplingOf(layout, cut.box, cut.side), cut.side);
}

interface YccSamplings {
  luma: Sampling;
  chroma: Sampling;
}

function yccSamplings(shape: JpegShape, scale: number, { box, side }: Cut): YccSamplings {
  const stored = storedBox(box, shape, shape.orientation);
  const { luma, chroma } = layoutsOf(shape, scale);
  return { luma: samplingOf(luma, stored, side), chroma: samplingOf(chroma, stored, side) };
}

function wantedBy({ across, down }: Sampling): Wanted {
  return { left: across.first, right: across.last, top: down.first, bottom: down.last };
}

function finishYcc(
  machine: PixelMachine,
  address: number,
  shape: JpegShape,
  scale: number,
  wanted: { luma: Wanted; chroma: Wanted },
  { luma, chroma }: YccSamplings,
  { side }: Cut,
): Uint8Array {
  const planes = planesAt(arrangePlanes(shape, scale, wanted), address);
  return turnUpright(resampleYcc(machine, planes, luma, chroma, side), side, shape.orientation);
}

let machine: PixelMachine | undefined;

/** The one machine of this thread, made when it is first needed: it holds nothing between two crops. */
export function clearMachine(): PixelMachine {
  machine ??= new PixelMachine();
  machine.clear();
  return machine;
}
