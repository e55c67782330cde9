import type { Picture } from '../picture.js';

/** Exchanges left and right. */
export function flip({ rgb, width, height }: Picture): Picture {
  const result = new Uint8Array(rgb.length);
  for (let at = 0; at < rgb.length; at += 3) {
    const x = (at / 3) % width;
    const from = at + 3 * (width - 1 - 2 * x);
    result[at] = rgb[from] as number;
    result[at + 1] = rgb[from + 1] as number;
    result[at + 2] = rgb[from + 2] as number;
  }
  return { rgb: result, width, height };
}
