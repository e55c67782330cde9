import type { Picture } from '../picture.js';

/** Pillow's luma (ITU-R 601) of a colour, 0 to 255. */
export function luma(red: number, green: number, blue: number): number {
  return (19595 * red + 38470 * green + 7471 * blue + 0x8000) >> 16;
}

/**
 * Pillow's blend of two values, in its single precision: from + factor (to - from), cut to whole numbers from 0 to 255.
 * Factors above 1 go beyond `to`.
 */
export function blendWith(factor: number): (from: number, to: number) => number {
  const single = Math.fround(factor);
  const steps = Float32Array.from({ length: 511 }, (_, at) => single * (at - 255));
  return (from, to) => {
    const value = Math.fround(from + (steps[to - from + 255] as number));
    if (value <= 0) return 0;
    return value >= 255 ? 255 : Math.trunc(value);
  };
}

/** @param factor 0: grey, 1: the picture itself */
export function saturation({ rgb, width, height }: Picture, factor: number): Picture {
  const blend = blendWith(factor);
  const result = new Uint8Array(rgb.length);
  for (let at = 0; at < rgb.length; at += 3) {
    const [red, green, blue] = [rgb[at] as number, rgb[at + 1] as number, rgb[at + 2] as number];
    const grey = luma(red, green, blue);
    result[at] = blend(grey, red);
    result[at + 1] = blend(grey, green);
    result[at + 2] = blend(grey, blue);
  }
  return { rgb: result, width, height };
}

export function greyscale(picture: Picture): Picture {
  return saturation(picture, 0);
}

/** @param factor 0: smoothed by [1 1 1; 1 5 1; 1 1 1] / 13 but for its border, 1: the picture itself */
export function sharpness({ rgb, width, height }: Picture, factor: number): Picture {
  const blend = blendWith(factor);
  const result = rgb.slice();
  const row = 3 * width;
  for (let y = 1; y < height - 1; y++) {
    for (let at = y * row + 3; at < (y + 1) * row - 3; at++) {
      const centre = rgb[at] as number;
      const sum = sumOf3(rgb, at - row) + sumOf3(rgb, at) + sumOf3(rgb, at + row) + 4 * centre;
      result[at] = blend(Math.floor((2 * sum + 13) / 26), centre);
    }
  }
  return { rgb: result, width, height };
}

/** The sum of a value and those of the pixels beside it. */
function sumOf3(rgb: Uint8Array, at: number): number {
  return (rgb[at - 3] as number) + (rgb[at] as number) + (rgb[at + 3] as number);
}
