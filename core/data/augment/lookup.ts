import type { Picture } from '../picture.js';
import { blendWith, luma } from './blend.js';

/*
 * What maps each value to another one, with Pillow's arithmetic (ImageOps, ImageEnhance): tables of 256 values.
 */

/** Spreads each channel's values so that its darkest becomes 0 and its lightest 255. */
export function autoContrast(picture: Picture): Picture {
  return mapChannels(picture, (histogram) => {
    const darkest = histogram.findIndex((count) => count > 0);
    const lightest = histogram.findLastIndex((count) => count > 0);
    if (lightest <= darkest) return (value) => value;
    const scale = 255 / (lightest - darkest);
    const offset = -darkest * scale;
    return (value) => clip(value * scale + offset);
  });
}

/** Spreads each channel's values so that all of them are about as frequent. */
export function equalize(picture: Picture): Picture {
  return mapChannels(picture, (histogram) => {
    const last = histogram.findLast((count) => count > 0) ?? 0;
    const step = Math.floor((picture.width * picture.height - last) / 255);
    if (step === 0) return (value) => value; // one value alone, or too few pixels
    const below = new Uint32Array(257);
    for (let value = 0; value < 256; value++) {
      below[value + 1] = (below[value] as number) + (histogram[value] as number);
    }
    return (value) => clip(((below[value] as number) + (step >> 1)) / step);
  });
}

export function invert(picture: Picture): Picture {
  return mapValues(picture, (value) => 255 - value);
}

/** Keeps the highest bits of each value; none of them: black. (Pillow from 13 on refuses 0 bits.) */
export function posterize(picture: Picture, bits: number): Picture {
  const mask = 0xff & (0xff << (8 - bits));
  return mapValues(picture, (value) => value & mask);
}

/** Inverts the values from a threshold on. */
export function solarize(picture: Picture, threshold: number): Picture {
  return mapValues(picture, (value) => (value < threshold ? value : 255 - value));
}

/** Adds to the values below 128. */
export function solarizeAdd(picture: Picture, amount: number): Picture {
  return mapValues(picture, (value) => (value < 128 ? Math.min(255, value + amount) : value));
}

/** @param factor 0: black, 1: the picture itself */
export function brightness(picture: Picture, factor: number): Picture {
  const blend = blendWith(factor);
  return mapValues(picture, (value) => blend(0, value));
}

/** @param factor 0: grey of the mean luma, 1: the picture itself */
export function contrast(picture: Picture, factor: number): Picture {
  const { rgb, width, height } = picture;
  let sum = 0;
  for (let at = 0; at < rgb.length; at += 3) {
    sum += luma(rgb[at] as number, rgb[at + 1] as number, rgb[at + 2] as number);
  }
  const mean = Math.floor(sum / (width * height) + 0.5);
  const blend = blendWith(factor);
  return mapValues(picture, (value) => blend(mean, value));
}

function mapValues({ rgb, width, height }: Picture, map: (value: number) => number): Picture {
  const table = tableOf(map);
  return { rgb: rgb.map((value) => table[value] as number), width, height };
}

/** @param mapOf given how often each value is in a channel, what becomes of each */
function mapChannels(
  { rgb, width, height }: Picture,
  mapOf: (histogram: Uint32Array) => (value: number) => number,
): Picture {
  const result = new Uint8Array(rgb.length);
  for (let channel = 0; channel < 3; channel++) {
    const histogram = new Uint32Array(256);
    for (let at = channel; at < rgb.length; at += 3) (histogram[rgb[at] as number] as number)++;
    const table = tableOf(mapOf(histogram));
    for (let at = channel; at < rgb.length; at += 3) result[at] = table[rgb[at] as number] as number;
  }
  return { rgb: result, width, height };
}

function tableOf(map: (value: number) => number): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, value) => map(value));
}

/** Cut to whole numbers from 0 to 255. */
function clip(value: number): number {
  return Math.max(0, Math.min(255, Math.trunc(value)));
}
