import type { Picture } from '../picture.js';

// What changes colours, with Pillow's arithmetic (ImageOps, ImageEnhance).

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
    for (let value = 0; value < 256; value++) below[value + 1] = below[value] + histogram[value];
    return (value) => clip((below[value] + (step >> 1)) / step);
  });
}

/** Inverts the values from a threshold on. */
export function solarize(picture: Picture, threshold: number): Picture {
  return mapValues(picture, (value) => (value < threshold ? value : 255 - value));
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
  for (let at = 0; at < rgb.length; at += 3) sum += luma(rgb[at], rgb[at + 1], rgb[at + 2]);
  const mean = Math.floor(sum / (width * height) + 0.5);
  const blend = blendWith(factor);
  return mapValues(picture, (value) => blend(mean, value));
}

/** @param factor 0: grey, 1: the picture itself */
export function saturation({ rgb, width, height }: Picture, factor: number): Picture {
  const blend = blendWith(factor);
  const result = new Uint8Array(rgb.length);
  for (let at = 0; at < rgb.length; at += 3) {
    const red = rgb[at];
    const green = rgb[at + 1];
    const blue = rgb[at + 2];
    const grey = luma(red, green, blue);
    result[at] = blend(grey, red);
    result[at + 1] = blend(grey, green);
    result[at + 2] = blend(grey, blue);
  }
  return { rgb: result, width, height };
}

/** @param factor 0: smoothed by [1 1 1; 1 5 1; 1 1 1] / 13 but for its border, 1: the picture itself */
export function sharpness({ rgb, width, height }: Picture, factor: number): Picture {
  const blend = blendWith(factor);
  const result = rgb.slice();
  const row = 3 * width;
  for (let y = 1; y < height - 1; y++) {
    for (let at = y * row + 3; at < (y + 1) * row - 3; at++) {
      const centre = rgb[at];
      const sum = sumOf3(rgb, at - row) + sumOf3(rgb, at) + sumOf3(rgb, at + row) + 4 * centre;
      result[at] = blend(Math.floor((2 * sum + 13) / 26), centre);
    }
  }
  return { rgb: result, width, height };
}

function sumOf3(rgb: Uint8Array, at: number): number {
  return rgb[at - 3] + rgb[at] + rgb[at + 3];
}

/** For each sixth of the circle, which of the four parts (value, p, q and t) red, green and blue are. */
const PLACES = [0, 3, 1, 2, 0, 1, 1, 0, 3, 1, 2, 0, 3, 1, 0, 0, 1, 2];

/** n / d in single precision at 256 d + n, 0 to 255 both, made when first needed: a table is faster than divisions. */
let quotients: Float32Array | undefined;
const makeQuotients = () => new Float32Array(2 ** 16).map((_, at) => (at & 0xff) / (at >> 8));
/** Of hues, 0 to 255: where their sixth of the circle begins in PLACES, and which part of it they are in. */
const SIXTHS = Uint8Array.from({ length: 256 }, (_, hue) => (hue === 255 ? 0 : 3 * Math.trunc((6 * hue) / 255)));
const PARTS = Float32Array.from({ length: 256 }, (_, hue) => ((6 * hue) / 255) % 1);

/**
 * Turns the hue, by way of 8-bit HSV with Pillow's arithmetic (torchvision's adjust_hue): colours without any change lose
 * precision as well.
 * @param turn part of the circle, -0.5 to 0.5
 */
export function hue({ rgb, width, height }: Picture, turn: number): Picture {
  quotients ??= makeQuotients();
  const shift = Math.trunc(turn * 255);
  const result = new Uint8Array(rgb.length);
  const parts = new Uint8Array(4);
  for (let at = 0; at < rgb.length; at += 3) {
    const red = rgb[at];
    const green = rgb[at + 1];
    const blue = rgb[at + 2];
    const most = Math.max(red, green, blue);
    const range = most - Math.min(red, green, blue);
    const saturation = range === 0 ? 0 : Math.trunc(quotients[256 * most + range] * 255);
    const turned = (hueOf(quotients, red, green, blue, most, range) + shift) & 0xff;
    const part = PARTS[turned];
    const pale = quotients[256 * 255 + saturation];
    parts[0] = most;
    parts[1] = rounded(most * (1 - pale));
    parts[2] = rounded(most * (1 - Math.fround(pale * part)));
    parts[3] = rounded(most * (1 - pale * (1 - part)));
    const from = SIXTHS[turned];
    result[at] = parts[PLACES[from]];
    result[at + 1] = parts[PLACES[from + 1]];
    result[at + 2] = parts[PLACES[from + 2]];
  }
  return { rgb: result, width, height };
}

/** Math.round of what is not negative, which is several times as fast. */
function rounded(value: number): number {
  return Math.trunc(value + 0.5);
}

/** The hue of a colour, 0 to 255. @param table the quotients */
function hueOf(table: Float32Array, red: number, green: number, blue: number, most: number, range: number): number {
  if (range === 0) return 0;
  const row = 256 * range;
  const r = table[row + most - red];
  const g = table[row + most - green];
  const b = table[row + most - blue];
  const sixth = Math.fround(red === most ? b - g : green === most ? 2 + r - b : 4 + g - r);
  const turns = sixth / 6 + 1; // 5/6 to 11/6, of which the fractional part is taken; % is slow
  return Math.trunc(Math.fround(turns < 1 ? turns : turns - 1) * 255);
}

/** What becomes of a value, 0 to 255. */
type ValueMap = (value: number) => number;

/** Changes each value by itself. */
export function mapValues({ rgb, width, height }: Picture, map: ValueMap): Picture {
  const table = tableOf(map);
  const result = new Uint8Array(rgb.length);
  for (let at = 0; at < rgb.length; at++) result[at] = table[rgb[at]];
  return { rgb: result, width, height };
}

/** @param mapOf given how often each value is in a channel, what becomes of each */
function mapChannels({ rgb, width, height }: Picture, mapOf: (histogram: Uint32Array) => ValueMap): Picture {
  const result = new Uint8Array(rgb.length);
  for (let channel = 0; channel < 3; channel++) {
    const histogram = new Uint32Array(256);
    for (let at = channel; at < rgb.length; at += 3) histogram[rgb[at]]++;
    const table = tableOf(mapOf(histogram));
    for (let at = channel; at < rgb.length; at += 3) result[at] = table[rgb[at]];
  }
  return { rgb: result, width, height };
}

function tableOf(map: ValueMap): Uint8Array {
  const table = new Uint8Array(256);
  for (let value = 0; value < 256; value++) table[value] = map(value);
  return table;
}

/** Cut to whole numbers from 0 to 255. */
function clip(value: number): number {
  return Math.max(0, Math.min(255, Math.trunc(value)));
}

/** Pillow's luma (ITU-R 601) of a colour, 0 to 255. */
function luma(red: number, green: number, blue: number): number {
  return (19595 * red + 38470 * green + 7471 * blue + 0x8000) >> 16;
}

/**
 * Pillow's blend of two values, in its single precision: from + factor (to - from), cut to whole numbers from 0 to 255.
 * Factors above 1 go beyond `to`.
 */
function blendWith(factor: number): (from: number, to: number) => number {
  const single = Math.fround(factor);
  return (from, to) => {
    const value = Math.fround(from + Math.fround(single * (to - from)));
    if (value <= 0) return 0;
    return value >= 255 ? 255 : Math.trunc(value);
  };
}
