import { MEAN } from '../normalise.js';
import type { Picture } from '../picture.js';

/** What moves into the picture: the mean colour, as in MAE. */
const FILL = MEAN.map((mean) => Math.round(255 * mean));

/** [a, b, c, d, e, f]: the point (x, y) of the result comes from (ax + by + c, dx + ey + f) of the picture. */
type Matrix = readonly [number, number, number, number, number, number];

/** Exchanges left and right. */
export function flip({ rgb, width, height }: Picture): Picture {
  const result = new Uint8Array(rgb.length);
  for (let at = 0; at < rgb.length; at += 3) {
    const x = (at / 3) % width;
    const from = at + 3 * (width - 1 - 2 * x);
    result[at] = rgb[from];
    result[at + 1] = rgb[from + 1];
    result[at + 2] = rgb[from + 2];
  }
  return { rgb: result, width, height };
}

/** Rotates a picture about its middle. @param degrees counter-clockwise */
export function rotate(picture: Picture, degrees: number): Picture {
  const angle = -(((degrees % 360) + 360) % 360) * (Math.PI / 180);
  const [cosine, sine] = [Number(Math.cos(angle).toFixed(15)), Number(Math.sin(angle).toFixed(15))];
  const [x, y] = [picture.width / 2, picture.height / 2];
  const left = cosine * -x + sine * -y + x;
  const top = -sine * -x + cosine * -y + y;
  return transform(picture, [cosine, sine, left, -sine, cosine, top]);
}

/**
 * An affine transform with bicubic interpolation, in Pillow's arithmetic (Image.transform): the cubic through four points
 * with a = -1, no antialiasing, values cut to whole numbers, the border's pixels repeated.
 */
export function transform(picture: Picture, [a, b, c, d, e, f]: Matrix): Picture {
  const { width, height } = picture;
  const result = new Uint8Array(picture.rgb.length);
  let out = 0;
  for (let y = 0.5; y < height; y++) {
    for (let x = 0.5; x < width; x++, out += 3) {
      const fromX = a * x + b * y + c;
      const fromY = d * x + e * y + f;
      if (fromX < 0 || fromX >= width || fromY < 0 || fromY >= height) result.set(FILL, out);
      else interpolate(picture, fromX - 0.5, fromY - 0.5, result, out);
    }
  }
  return { rgb: result, width, height };
}

/** The colour at a point, in pixels from the centre of the first one. */
function interpolate({ rgb, width, height }: Picture, x: number, y: number, result: Uint8Array, out: number): void {
  const left = Math.floor(x);
  const top = Math.floor(y);
  const dx = x - left;
  const dy = y - top;
  const x0 = 3 * clamp(left - 1, width);
  const x1 = 3 * clamp(left, width);
  const x2 = 3 * clamp(left + 1, width);
  const x3 = 3 * clamp(left + 2, width);
  const row = 3 * width;
  const y0 = row * clamp(top - 1, height);
  const y1 = row * clamp(top, height);
  const y2 = row * clamp(top + 1, height);
  const y3 = row * clamp(top + 2, height);
  for (let channel = 0; channel < 3; channel++) {
    const value = cubic(
      alongRow(rgb, y0 + channel, x0, x1, x2, x3, dx),
      alongRow(rgb, y1 + channel, x0, x1, x2, x3, dx),
      alongRow(rgb, y2 + channel, x0, x1, x2, x3, dx),
      alongRow(rgb, y3 + channel, x0, x1, x2, x3, dx),
      dy,
    );
    result[out + channel] = value <= 0 ? 0 : value >= 255 ? 255 : value;
  }
}

function alongRow(rgb: Uint8Array, start: number, x0: number, x1: number, x2: number, x3: number, d: number): number {
  return cubic(rgb[start + x0], rgb[start + x1], rgb[start + x2], rgb[start + x3], d);
}

/** Between v1 (d = 0) and v2 (d = 1). */
function cubic(v0: number, v1: number, v2: number, v3: number, d: number): number {
  return v1 + d * (-v0 + v2 + d * (2 * (v0 - v1) + v2 - v3 + d * (-v0 + v1 - v2 + v3)));
}

function clamp(position: number, size: number): number {
  return position < 0 ? 0 : position < size ? position : size - 1;
}
