import type { Picture } from '../picture.js';

/**
 * Turns the hue, by way of 8-bit HSV with Pillow's arithmetic (torchvision's adjust_hue): colours without any change lose
 * precision as well.
 * @param turn part of the circle, -0.5 to 0.5
 */
export function hue({ rgb, width, height }: Picture, turn: number): Picture {
  const shift = Math.trunc(turn * 255);
  const result = new Uint8Array(rgb.length);
  const parts = new Uint8Array(4);
  for (let at = 0; at < rgb.length; at += 3) {
    const [red, green, blue] = [rgb[at] as number, rgb[at + 1] as number, rgb[at + 2] as number];
    const most = Math.max(red, green, blue);
    const range = most - Math.min(red, green, blue);
    const saturation = range === 0 ? 0 : Math.trunc(Math.fround(range / most) * 255);
    const turned = (hueOf(red, green, blue, most, range) + shift) & 0xff;
    setColour(result, at, turned, saturation, most, parts);
  }
  return { rgb: result, width, height };
}

/** The hue of a colour, 0 to 255. */
function hueOf(red: number, green: number, blue: number, most: number, range: number): number {
  if (range === 0) return 0;
  const r = Math.fround((most - red) / range);
  const g = Math.fround((most - green) / range);
  const b = Math.fround((most - blue) / range);
  const sixth = Math.fround(red === most ? b - g : green === most ? 2 + r - b : 4 + g - r);
  return Math.trunc(Math.fround((sixth / 6 + 1) % 1) * 255);
}

/** For each sixth of the circle, which of value, p, q and t (see below) red, green and blue are. */
const PLACES = [0, 3, 1, 2, 0, 1, 1, 0, 3, 1, 2, 0, 3, 1, 0, 0, 1, 2] as const;

/** @param parts memory for four values */
function setColour(rgb: Uint8Array, at: number, hue: number, saturation: number, value: number, parts: Uint8Array) {
  const sixth = Math.floor((hue * 6) / 255);
  const part = Math.fround((hue * 6) / 255 - sixth);
  const pale = Math.fround(saturation / 255);
  parts[0] = value;
  parts[1] = Math.round(value * (1 - pale));
  parts[2] = Math.round(value * (1 - Math.fround(pale * part)));
  parts[3] = Math.round(value * (1 - pale * (1 - part)));
  const from = 3 * (sixth % 6);
  for (let channel = 0; channel < 3; channel++) rgb[at + channel] = parts[PLACES[from + channel] as number] as number;
}
