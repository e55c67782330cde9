import type { Picture } from '../picture.js';

/** Passes of the box filter that make the Gaussian one. */
const PASSES = 3;

/**
 * Pillow's Gaussian blur: three passes of a box filter whose ends count in part, along rows and then along columns; each
 * pass rounds to whole numbers. The border's pixels are repeated.
 * @param sigma standard deviation in pixels, from 0
 */
export function gaussianBlur({ rgb, width, height }: Picture, sigma: number): Picture {
  const radius = boxRadius(sigma);
  if (radius === 0) return { rgb: rgb.slice(), width, height };
  const result = rgb.slice();
  for (let y = 0; y < height; y++) blurLines(result, 3 * width * y, 3, width, radius);
  for (let x = 0; x < width; x++) blurLines(result, 3 * x, 3 * width, height, radius);
  return { rgb: result, width, height };
}

/**
 * The radius of a box of which three passes have a Gaussian's deviation (Gwosdek et al. 2011, equations 7, 11 and 14), in
 * single precision.
 */
function boxRadius(sigma: number): number {
  const f = Math.fround;
  const variance = f(f(f(sigma) * f(sigma)) / PASSES);
  const length = f(Math.sqrt(12 * variance + 1));
  const whole = Math.floor((length - 1) / 2);
  const above = f((2 * whole + 1) * f(whole * (whole + 1) - f(3 * variance)));
  const part = f(above / f(6 * f(variance - (whole + 1) ** 2)));
  return f(whole + part);
}

/** Blurs the three channels of a line in place. @param step from a pixel to the next one */
function blurLines(rgb: Uint8Array, start: number, step: number, count: number, radius: number): void {
  const margin = Math.trunc(radius) + 1;
  const line = new Uint8Array(count + 2 * margin);
  const blurred = new Uint8Array(count);
  for (let first = start; first < start + 3; first++) {
    for (let at = 0; at < count; at++) blurred[at] = rgb[first + at * step];
    for (let pass = 0; pass < PASSES; pass++) {
      line.fill(blurred[0], 0, margin);
      line.set(blurred, margin);
      line.fill(blurred[count - 1], margin + count);
      boxBlur(line, radius, blurred);
    }
    for (let at = 0; at < count; at++) rgb[first + at * step] = blurred[at];
  }
}

/**
 * Means over 2 radius + 1 values, in fixed point; the outermost two count with the fraction of the radius.
 * @param line with a margin of the whole radius and one more on both sides
 */
function boxBlur(line: Uint8Array, radius: number, result: Uint8Array): void {
  const span = 2 * Math.trunc(radius) + 1;
  const weight = Math.trunc(Math.fround(2 ** 24 / Math.fround(Math.fround(radius * 2) + 1)));
  const weightOfEnds = Math.floor((2 ** 24 - span * weight) / 2);
  let sum = 0;
  for (let at = 0; at < span; at++) sum += line[at];
  for (let at = 0; at < result.length; at++) {
    const before = line[at];
    sum += line[at + span] - before;
    const ends = before + line[at + span + 1];
    result[at] = (sum * weight + ends * weightOfEnds + 2 ** 23) / 2 ** 24;
  }
}
