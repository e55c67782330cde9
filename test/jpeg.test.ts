import test from 'ava';
import fc from 'fast-check';
import sharp from 'sharp';
import type { CropBox } from '../core/data/crop.js';
import { clearMachine, cutJpeg, cutPixels, decodeScale, decodeWhole } from '../core/data/cut.js';
import { centreCrop } from '../core/data/image.js';
import { type JpegHeader, readJpegHeader, shapeOf } from '../core/data/jpeg/header.js';
import { uprightSize } from '../core/data/orientation.js';
import { flatJpeg } from './helpers/flat-jpeg.js';
import { softJpeg, softPicture } from './helpers/pictures.js';

/** What sharp makes of a box: turned upright, cut, scaled by its antialiased bilinear kernel. */
async function cutBySharp(bytes: Uint8Array, box: CropBox, side: number): Promise<Uint8Array> {
  return sharp(bytes, { autoOrient: true })
    .extract(box)
    .resize(side, side, { fit: 'fill', kernel: 'linear', fastShrinkOnLoad: false })
    .raw()
    .toBuffer();
}

/** What sharp decodes, scaled by the definition: weights that fall linearly over one pixel of the larger grid. */
async function cutByDefinition(bytes: Uint8Array, box: CropBox, side: number): Promise<Uint8Array> {
  const { data, info } = await sharp(bytes, { autoOrient: true }).raw().toBuffer({ resolveWithObject: true });
  const axis = (from: number, length: number) =>
    Array.from({ length: side }, (_, result) => {
      const [middle, reach] = [from + ((result + 0.5) * length) / side, Math.max(1, length / side)];
      const all = Array.from({ length }, (_, at) => ({
        at: from + at,
        weight: Math.max(0, 1 - Math.abs(from + at + 0.5 - middle) / reach),
      }));
      const sum = all.reduce((total, { weight }) => total + weight, 0);
      return all.filter(({ weight }) => weight > 0).map(({ at, weight }) => ({ at, weight: weight / sum }));
    });
  const [columns, rows] = [axis(box.left, box.width), axis(box.top, box.height)];
  const result = new Uint8Array(side * side * 3);
  for (let to = 0; to < result.length; to++) {
    const [colour, x, y] = [to % 3, Math.floor(to / 3) % side, Math.floor(to / 3 / side)];
    let sum = 0;
    for (const row of rows[y] ?? []) {
      for (const column of columns[x] ?? []) {
        sum += row.weight * column.weight * (data[(row.at * info.width + column.at) * 3 + colour] as number);
      }
    }
    result[to] = Math.round(sum);
  }
  return result;
}

function differences(a: Uint8Array, b: Uint8Array): { mean: number; most: number } {
  const all = a.map((value, at) => Math.abs(value - (b[at] as number)));
  return {
    mean: all.reduce((sum, value) => sum + value, 0) / all.length,
    most: all.reduce((most, value) => Math.max(most, value), 0),
  };
}

function headerOf(bytes: Uint8Array): JpegHeader {
  const header = readJpegHeader(bytes);
  if (!header) throw new Error('not a JPEG of the usual kind');
  return header;
}

/** A JPEG, a box in it, and a side that is not larger. */
const CASES = fc.record({
  width: fc.integer({ min: 9, max: 150 }),
  height: fc.integer({ min: 9, max: 150 }),
  seed: fc.nat(),
  quality: fc.integer({ min: 30, max: 98 }),
  colours: fc.constantFrom('4:2:0', '4:4:4'),
  orientation: fc.integer({ min: 1, max: 8 }),
  part: fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.double({ min: 0.5, max: 1, noNaN: true })),
  shrink: fc.double({ min: 1, max: 4, noNaN: true }),
});

function boxOf({ width, height }: { width: number; height: number }, [place, part]: [number, number]): CropBox {
  const box = { width: Math.ceil(width * part), height: Math.ceil(height * part) };
  return { left: Math.floor((width - box.width) * place), top: Math.floor((height - box.height) * place), ...box };
}

test('crops of JPEGs are what sharp decodes, turned upright and scaled by the definition', async (t) => {
  const law = fc.asyncProperty(CASES, async ({ width, height, seed, part, shrink, ...kind }) => {
    const bytes = await softJpeg(width, height, seed, kind);
    const header = headerOf(bytes);
    const box = boxOf(uprightSize(header, header.orientation), part);
    const side = Math.max(1, Math.floor(Math.min(box.width, box.height) / shrink));
    const ours = cutJpeg(bytes, header, 1, { box, side }) ?? new Uint8Array();
    const { mean, most } = differences(ours, await cutByDefinition(bytes, box, side));
    if (!(mean < 0.8 && most <= 6)) throw new Error(`${mean} on average, ${most} at most`);
  });
  await t.notThrowsAsync(() => fc.assert(law, { numRuns: 60 }));
});

test('that is what sharp cuts and scales, too, but for its rounding between two steps', async (t) => {
  for (const seed of [1, 2, 3]) {
    const bytes = await softJpeg(500, 375, seed);
    const box = { left: 40, top: 30, width: 380, height: 290 };
    const ours = cutJpeg(bytes, headerOf(bytes), 1, { box, side: 224 }) as Uint8Array;
    const { mean, most } = differences(ours, await cutBySharp(bytes, box, 224));
    t.true(mean < 0.6 && most <= 12, `${mean} on average, ${most} at most`);
  }
});

test('a crop is the same, bit for bit, whether all of the picture was decoded or only what the crop needs', async (t) => {
  const law = fc.asyncProperty(
    CASES,
    fc.constantFrom(1, 2, 4, 8),
    fc.integer({ min: 1, max: 40 }),
    async ({ width, height, seed, part, ...kind }, scale, side) => {
      const bytes = await softJpeg(width, height, seed, kind);
      const header = headerOf(bytes);
      const cut = { box: boxOf(uprightSize(header, header.orientation), part), side };
      const partly = cutJpeg(bytes, header, scale, cut);
      const machine = clearMachine();
      const address = decodeWhole(machine, bytes, header, scale);
      const wholly = cutPixels(machine, address as number, { kind: 'ycc', scale, ...shapeOf(header) }, cut);
      return partly !== null && Buffer.compare(partly, wholly) === 0;
    },
  );
  await t.notThrowsAsync(() => fc.assert(law, { numRuns: 60 }));
});

test('a photo that is decoded at a part of its size gives nearly the same crop', async (t) => {
  for (const colours of ['4:2:0', '4:4:4']) {
    const bytes = await softJpeg(640, 480, 5, { colours });
    const box = { left: 33, top: 21, width: 520, height: 410 };
    const whole = cutJpeg(bytes, headerOf(bytes), 1, { box, side: 48 }) as Uint8Array;
    for (const scale of [2, 4, 8]) {
      const { mean, most } = differences(
        cutJpeg(bytes, headerOf(bytes), scale, { box, side: 48 }) as Uint8Array,
        whole,
      );
      t.true(mean < 2 && most < 16, `${colours} at 1/${scale}: ${mean} on average, ${most} at most`);
    }
  }
});

test('the part of the size leaves every crop enough pixels', (t) => {
  t.is(decodeScale(223, 224), 1);
  t.is(decodeScale(448, 224), 2);
  t.is(decodeScale(1000, 224), 4);
  t.is(decodeScale(100_000, 224), 8);
});

test('restart markers, colours halved in either direction and any remainder of an MCU are decoded as sharp does', async (t) => {
  for (const [across, down] of [
    [1, 1],
    [2, 1],
    [1, 2],
    [2, 2],
  ] as const) {
    for (const restartInterval of [0, 1, 2, 5]) {
      const bytes = flatJpeg({ width: 61, height: 43, across, down, restartInterval });
      const box = { left: 0, top: 0, width: 61, height: 43 };
      const ours = cutJpeg(bytes, headerOf(bytes), 1, { box, side: 40 }) as Uint8Array;
      const { mean, most } = differences(ours, await cutBySharp(bytes, box, 40));
      t.true(mean < 1 && most <= 8, `${across} x ${down}, restart ${restartInterval}: ${mean}, ${most}`);
    }
  }
});

test('what is no JPEG of the usual kind is left to sharp, with the same colours', async (t) => {
  const picture = softPicture(40, 30, 1);
  const kinds = {
    progressive: await picture.clone().jpeg({ progressive: true }).toBuffer(),
    grey: await picture.clone().toColourspace('b-w').jpeg().toBuffer(),
    CMYK: await picture.clone().toColourspace('cmyk').jpeg().toBuffer(),
    'with a colour profile': await picture.clone().withIccProfile('p3').jpeg().toBuffer(),
    PNG: await picture.clone().png().toBuffer(),
  };
  for (const [kind, bytes] of Object.entries(kinds)) {
    t.is(readJpegHeader(bytes), null, kind);
    t.is((await centreCrop({ name: kind, source: async () => bytes }, 16, 1e8)).length, 16 * 16 * 3, kind);
  }
  const profile = await centreCrop({ name: '', source: async () => kinds['with a colour profile'] }, 16, 1e8);
  const plain = await centreCrop({ name: '', source: async () => kinds.PNG }, 16, 1e8);
  t.true(differences(profile, plain).mean < 6, 'the profile is applied');
});

test('a profile that is sRGB changes nothing', async (t) => {
  const bytes = await softPicture(60, 50, 1).withIccProfile('srgb').jpeg({ quality: 95 }).toBuffer();
  t.truthy((await sharp(bytes).metadata()).icc);
  const box = { left: 3, top: 4, width: 50, height: 40 };
  const ours = cutJpeg(bytes, headerOf(bytes), 1, { box, side: 30 }) as Uint8Array;
  const { mean, most } = differences(ours, await cutByDefinition(bytes, box, 30));
  t.true(mean < 1 && most <= 6, `${mean} on average, ${most} at most`);
});

test('damaged files never break the decoder: they give a picture or a reason', async (t) => {
  const bytes = await softJpeg(70, 50, 3);
  const law = fc.asyncProperty(
    fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 }),
    fc.integer({ min: 1, max: bytes.length }),
    async (changes, length) => {
      const damaged = Buffer.from(bytes.subarray(0, length));
      for (const [at, value] of changes) if (at < length) damaged[at] = value;
      const item = { name: 'damaged', source: async () => damaged };
      return centreCrop(item, 16, 1e6).then(
        (rgb) => rgb.length === 16 * 16 * 3,
        (error: Error) => error.message.length > 0 && !(error instanceof WebAssembly.RuntimeError),
      );
    },
  );
  await t.notThrowsAsync(() => fc.assert(law, { numRuns: 300 }));
});
