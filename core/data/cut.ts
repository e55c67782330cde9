import type { CropBox } from './crop.js';
import { decodePlanes, layoutsOf, type Wanted } from './jpeg/decode.js';
import type { JpegHeader } from './jpeg/header.js';
import { type Size, storedBox, turnUpright } from './orientation.js';
import { PixelMachine } from './pixel-machine.js';
import { resampleRgb, resampleYcc, type Sampling, samplingOf } from './resample/resample.js';

const SCALES = [8, 4, 2] as const;

/**
 * The part of its size at which a JPEG is decoded, as 1, 2, 4 or 8: the smallest that leaves every crop at least as many
 * pixels as it is to have. The same for all crops of a picture, so that a kept copy serves them all.
 * @param shortest the shortest side that a crop can have, in pixels
 */
export function decodeScale(shortest: number, side: number): number {
  return SCALES.find((scale) => shortest / scale >= side) ?? 1;
}

/**
 * Cuts a box out of a JPEG and scales it to a square; blocks outside it are not transformed, rows below it not even read.
 * @param box in pixels of the upright picture
 * @returns RGB, [S, S, 3]; null where the compressed data are damaged
 */
export function cutJpeg(
  bytes: Uint8Array,
  header: JpegHeader,
  scale: number,
  box: CropBox,
  side: number,
): Uint8Array | null {
  const machine = clearMachine();
  const stored = storedBox(box, header, header.orientation);
  const layouts = layoutsOf(header, scale);
  const luma = samplingOf(layouts.luma, stored, side);
  const chroma = samplingOf(layouts.chroma, stored, side);
  const planes = decodePlanes(machine, bytes, header, scale, { luma: wantedBy(luma), chroma: wantedBy(chroma) });
  return planes && turnUpright(resampleYcc(machine, planes, luma, chroma, side), side, header.orientation);
}

/**
 * Cuts a box out of decoded pixels and scales it to a square.
 * @param rgb [height, width, 3]
 * @returns RGB, [S, S, 3]
 */
export function cutRgb(rgb: Uint8Array, { width, height }: Size, box: CropBox, side: number): Uint8Array {
  const machine = clearMachine();
  const sampling = samplingOf({ scale: 1, halvedAcross: false, halvedDown: false, width, height }, box, side);
  const { first, last } = sampling.down;
  const address = machine.put(rgb.subarray(first * width * 3, last * width * 3));
  return resampleRgb(machine, { address, stride: width * 3, left: 0, top: first }, sampling, side);
}

function wantedBy({ across, down }: Sampling): Wanted {
  return { left: across.first, right: across.last, top: down.first, bottom: down.last };
}

let machine: PixelMachine | undefined;

/** The one machine of this thread, made when it is first needed: it holds nothing between two crops. */
function clearMachine(): PixelMachine {
  machine ??= new PixelMachine();
  machine.clear();
  return machine;
}
