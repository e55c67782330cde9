import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { greyscale, saturation } from '../core/data/augment/blend.js';
import { gaussianBlur } from '../core/data/augment/blur.js';
import { hue } from '../core/data/augment/hue.js';
import { brightness, contrast } from '../core/data/augment/lookup.js';
import type { Picture } from '../core/data/augment/picture.js';
import { OPERATIONS } from '../core/data/augment/rand-augment.js';
import { FIXTURES } from './helpers/paths.js';

/** What fixtures/augment/make_golden.py wrote. */
interface Golden {
  pictures: Record<string, { width: number; height: number; rgb: string }>;
  randAugment: { name: string; magnitude: number; sign: number; picture: string; result: string }[];
  jitter: { name: string; amount: number; picture: string; result: string }[];
}
const golden: Golden = JSON.parse(readFileSync(join(FIXTURES, 'augment', 'golden.json'), 'utf8'));

function goldenPicture(name: string): Picture {
  const { rgb, ...size } = golden.pictures[name] as Golden['pictures'][string];
  return { ...size, rgb: Uint8Array.from(Buffer.from(rgb, 'base64')) };
}

function farthest({ rgb }: Picture, expected: string): number {
  const wanted = Buffer.from(expected, 'base64');
  if (wanted.length !== rgb.length) return Number.POSITIVE_INFINITY;
  return rgb.reduce((most, value, at) => Math.max(most, Math.abs(value - (wanted[at] as number))), 0);
}

test("the operations of RandAugment give Pillow's pixels", (t) => {
  t.deepEqual(new Set(golden.randAugment.map(({ name }) => name)), new Set(Object.keys(OPERATIONS)));
  for (const { name, magnitude, sign, picture, result } of golden.randAugment) {
    const changed = OPERATIONS[name]?.(goldenPicture(picture), magnitude / 10, sign) as Picture;
    t.is(farthest(changed, result), 0, `${name} ${sign * magnitude} of ${picture}`);
  }
});

test("brightness, contrast, saturation, hue, grey and blur give torchvision's pixels", (t) => {
  const changes: Record<string, (picture: Picture, amount: number) => Picture> = {
    brightness,
    contrast,
    saturation,
    hue,
    greyscale,
    gaussianBlur,
  };
  for (const { name, amount, picture, result } of golden.jitter) {
    const changed = changes[name]?.(goldenPicture(picture), amount) as Picture;
    t.is(farthest(changed, result), 0, `${name} ${amount} of ${picture}`);
  }
});
