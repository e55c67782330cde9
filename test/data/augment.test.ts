import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { UserError } from '../../core/base/errors.js';
import { RandomStream } from '../../core/base/random.js';
import { gaussianBlur } from '../../core/data/augment/blur.js';
import { brightness, contrast, hue, saturation, solarize } from '../../core/data/augment/colour.js';
import { flip } from '../../core/data/augment/geometry.js';
import {
  type ChangeSettings,
  OPERATIONS,
  randAugment,
  randomChanges,
  readRandAugment,
} from '../../core/data/augment/random.js';
import type { Picture } from '../../core/data/picture.js';
import { FIXTURES } from '../helpers/paths.js';

/** What fixtures/augment/make_golden.py wrote. */
interface Golden {
  pictures: Record<string, { width: number; height: number; rgb: string }>;
  randAugment: { name: string; magnitude: number; sign: number; picture: string; result: string }[];
  jitter: { name: string; amount: number; picture: string; result: string }[];
  timmDraws: Distribution;
  referenceDraws: Distribution;
  multiCropDraws: Distribution;
}

/** Of 40,000 draws on the picture 'busy': how often nothing changes, how often the mean red is below a level. */
interface Distribution {
  unchanged: number;
  below: Record<string, number>;
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

test("brightness, contrast, saturation, hue, grey, solarization and blur give torchvision's pixels", (t) => {
  const changes: Record<string, (picture: Picture, amount: number) => Picture> = {
    brightness,
    contrast,
    saturation,
    hue,
    greyscale: (picture) => saturation(picture, 0),
    solarize,
    gaussianBlur,
  };
  for (const { name, amount, picture, result } of golden.jitter) {
    const changed = changes[name]?.(goldenPicture(picture), amount) as Picture;
    t.is(farthest(changed, result), 0, `${name} ${amount} of ${picture}`);
  }
});

const PAPERS = readRandAugment('rand-m9-mstd0.5-inc1') as NonNullable<ReturnType<typeof readRandAugment>>;
const isSame = (a: Picture, b: Picture) => Buffer.compare(a.rgb, b.rgb) === 0;

function holdDraws(t: ExecutionContext, { unchanged, below }: Distribution, draw: (stream: RandomStream) => Picture) {
  const drawn = Array.from({ length: 4000 }, (_, seed) => draw(new RandomStream(seed, 'draw')));
  const means = drawn.map(
    ({ rgb }) => rgb.reduce((sum, value, at) => sum + (at % 3 === 0 ? value : 0), 0) / (rgb.length / 3),
  );
  const near = (count: number, share: number, what: string) =>
    t.true(Math.abs(count / drawn.length - share) < 0.03, `${what}: ${count / drawn.length}, not ${share}`); // 4 deviations
  near(drawn.filter((picture) => isSame(picture, goldenPicture('busy'))).length, unchanged, 'unchanged');
  for (const [level, share] of Object.entries(below)) {
    near(means.filter((mean) => mean < Number(level)).length, share, `below ${level}`);
  }
}

test("RandAugment's pictures are distributed as timm's, and other changed ones as torchvision's", (t) => {
  const source = goldenPicture('busy');
  holdDraws(t, golden.timmDraws, (stream) => randAugment(source, PAPERS, stream));
  const settings = { flip: 0, jitter: 0.7, blur: 0 };
  holdDraws(t, golden.referenceDraws, (stream) => randomChanges(source, settings, stream));
  const multiCrop = { flip: 0, jitter: 0.5, saturation: 0.5, grey: 0.2, blur: 0, solarize: 0.2 };
  holdDraws(t, golden.multiCropDraws, (stream) => randomChanges(source, multiCrop, stream));
});

test('everything is drawn whether it is used or not: turning one change on leaves the others as they were', (t) => {
  const source = goldenPicture('busy');
  for (let seed = 0; seed < 40; seed++) {
    const after = (draw: (stream: RandomStream) => Picture) => {
      const stream = new RandomStream(seed, 'law');
      return { picture: draw(stream), next: stream.uniform() };
    };
    const changed = (flip: number, jitter: number, blur: number, picture = source) =>
      after((stream) => randomChanges(picture, { flip, jitter, blur }, stream));
    const none = changed(0, 0, 0);
    t.true(isSame(none.picture, source));
    t.deepEqual(changed(1, 0.7, 0), changed(0, 0.7, 0, flip(source)));
    const alone = (more: Partial<ChangeSettings>) =>
      after((stream) => randomChanges(source, { flip: 0, jitter: 0, blur: 0, ...more }, stream));
    t.deepEqual(alone({ grey: 1 }), { ...none, picture: saturation(source, 0) });
    t.deepEqual(alone({ solarize: 1 }), { ...none, picture: solarize(source, 128) });
    t.deepEqual(alone({ jitter: 0.7, grey: 0.2, saturation: 1 }), changed(0, 0.7, 0));
    const { picture, next } = changed(0, 0.7, 0);
    const blurred = changed(0, 0, 1).picture; // by a deviation that is drawn
    t.deepEqual([next, changed(1, 1, 1).next], [none.next, none.next]);
    t.is(isSame(changed(0, 0.7, 1).picture, picture), isSame(blurred, source));
    const nothing = { rgb: new Uint8Array(), width: 0, height: 0 };
    const drawn = [source, nothing].map((from) => after((stream) => randAugment(from, PAPERS, stream)).next);
    t.is(drawn[0], drawn[1]);
  }
  t.deepEqual(source, goldenPicture('busy'), 'pictures are not changed in place');
});

test("timm's names of RandAugment are read", (t) => {
  t.deepEqual(PAPERS, { magnitude: 9, deviation: 0.5 });
  t.is(readRandAugment('none'), null);
  for (const name of ['', 'rand', 'rand-m9', 'rand-m10.5-mstd0.5-inc1', 'rand-m9-mstd0.5', 'rand-m-9-mstd0.5-inc1']) {
    t.throws(() => readRandAugment(name), { instanceOf: UserError, message: /RandAugment cannot be/ }, name);
  }
});
