import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import fc from 'fast-check';
import sharp, { type Sharp } from 'sharp';
import { UserError } from '../../core/base/errors.js';
import { RandomStream } from '../../core/base/random.js';
import { type CropSettings, centreCrop, randomCropBox, randomCrops } from '../../core/data/crop.js';
import { openFolders } from '../../core/data/folder.js';
import { MEAN, STD, toNormalised } from '../../core/data/normalise.js';
import { openData } from '../../core/data/open.js';
import { DATA_SETS } from '../../plugins/index.js';
import { temporaryFolder } from '../helpers/command.js';

const LIMIT = 1e8;
const SIDE = 24;
type Rgb = [number, number, number];
/** Colours of the four corners of the test picture: top left, top right, bottom left, bottom right. */
const CORNERS: [Rgb, Rgb, Rgb, Rgb] = [
  [220, 200, 60],
  [30, 200, 60],
  [220, 40, 60],
  [30, 40, 60],
];

/** A picture of 96 x 64 pixels with a colour in each quarter. */
function picture(): Sharp {
  const [width, height] = [96, 64];
  const data = Buffer.alloc(width * height * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      data.set(CORNERS[(y < height / 2 ? 0 : 2) + (x < width / 2 ? 0 : 1)] as Rgb, (y * width + x) * 3);
    }
  }
  return sharp(data, { raw: { width, height, channels: 3 } });
}

const item = (bytes: Uint8Array) => ({ name: 'test', source: async () => bytes });

/** The colours near the corners of a crop. */
async function corners(bytes: Uint8Array): Promise<Rgb[]> {
  const rgb = await centreCrop(item(bytes), SIDE, LIMIT);
  const at = (x: number, y: number) => [...rgb.subarray((y * SIDE + x) * 3, (y * SIDE + x) * 3 + 3)] as Rgb;
  return [at(1, 1), at(SIDE - 2, 1), at(1, SIDE - 2), at(SIDE - 2, SIDE - 2)];
}

function farthest(actual: Rgb[], expected: readonly Rgb[]): number {
  return Math.max(
    ...actual.flatMap((rgb, corner) =>
      rgb.map((value, i) => Math.abs(value - ((expected[corner] as Rgb)[i] as number))),
    ),
  );
}

const SAME_COLOURS: Record<string, (picture: Sharp) => Sharp> = {
  JPEG: (p) => p.jpeg({ quality: 95 }),
  PNG: (p) => p.png(),
  WebP: (p) => p.webp({ quality: 95 }),
  AVIF: (p) => p.avif({ quality: 90 }),
  GIF: (p) => p.gif(),
  TIFF: (p) => p.tiff({ compression: 'lzw' }),
  'PNG with palette': (p) => p.png({ palette: true }),
  'PNG with 16 bits': (p) => p.toColourspace('rgb16').png(),
  'opaque PNG with alpha': (p) => p.ensureAlpha(1).png(),
};

for (const [name, encode] of Object.entries(SAME_COLOURS)) {
  test(`${name} comes out as upright RGB with its colours`, async (t) => {
    const difference = farthest(await corners(await encode(picture()).toBuffer()), CORNERS);
    t.true(difference <= 8, `off by ${difference}`);
  });
}

test('CMYK comes out as RGB, near its colours', async (t) => {
  const bytes = await picture().toColourspace('cmyk').jpeg({ quality: 95 }).toBuffer();
  t.is((await sharp(bytes).metadata()).space, 'cmyk');
  const [topLeft, , bottomLeft] = (await corners(bytes)) as [Rgb, Rgb, Rgb];
  t.true(topLeft[0] > 180 && topLeft[1] > 160 && topLeft[2] < 110);
  t.true(bottomLeft[0] > 180 && bottomLeft[1] < 110);
});

for (const [name, encode] of Object.entries({
  grey: (p: Sharp) => p.greyscale().png(),
  'grey with 16 bits': (p: Sharp) => p.toColourspace('grey16').png(),
})) {
  test(`a ${name} picture comes out with three equal colours`, async (t) => {
    const greys = await corners(await encode(picture()).toBuffer());
    for (const [red, green, blue] of greys) t.true(red === green && green === blue);
    t.true((greys[0] as Rgb)[0] > (greys[3] as Rgb)[0] + 50);
  });
}

test('transparent parts come out white', async (t) => {
  const bytes = await picture().ensureAlpha(0).png().toBuffer();
  t.is(farthest(await corners(bytes), Array(4).fill([255, 255, 255])), 0);
});

test('EXIF orientation is applied before anything is cut', async (t) => {
  const bytes = await picture().withMetadata({ orientation: 6 }).jpeg({ quality: 95 }).toBuffer(); // to be turned right
  const [topLeft, topRight, bottomLeft, bottomRight] = CORNERS;
  const difference = farthest(await corners(bytes), [bottomLeft, topLeft, bottomRight, topRight]);
  t.true(difference <= 8, `off by ${difference}`);
});

test('the first frame of an animation is taken', async (t) => {
  const frames = Buffer.concat([Buffer.alloc(20 * 20 * 3, 250), Buffer.alloc(20 * 20 * 3, 10)]);
  const bytes = await sharp(frames, { raw: { width: 20, height: 40, channels: 3, pageHeight: 20 } })
    .gif()
    .toBuffer();
  t.true((await centreCrop(item(bytes), SIDE, LIMIT)).every((value) => value > 240));
});

test('a damaged image, a text and an empty file are refused with a reason', async (t) => {
  const stream = new RandomStream(0, 'noise');
  const noise = Buffer.from(Uint8Array.from({ length: 64 * 64 * 3 }, () => stream.integer(0, 255)));
  const jpeg = await sharp(noise, { raw: { width: 64, height: 64, channels: 3 } })
    .jpeg()
    .toBuffer();
  for (const bytes of [
    jpeg.subarray(0, jpeg.length / 2),
    jpeg.subarray(0, 100),
    Buffer.from('not an image'),
    Buffer.alloc(0),
  ]) {
    const error = await t.throwsAsync(() => centreCrop(item(bytes), SIDE, LIMIT));
    t.true((error?.message.length ?? 0) > 5);
  }
});

test('an image bomb is refused by its number of pixels', async (t) => {
  const bomb = await sharp({ create: { width: 6000, height: 6000, channels: 3, background: 'black' } })
    .png()
    .toBuffer();
  t.true(bomb.length < 1e6);
  await t.throwsAsync(() => centreCrop(item(bomb), SIDE, 1e6), { message: /pixel/ });
});

test('a random crop lies inside the image and has the area and aspect that were asked for', (t) => {
  const law = fc.property(
    fc.integer({ min: 40, max: 900 }),
    fc.integer({ min: 40, max: 900 }),
    fc.nat(),
    (width, height, seed) => {
      const box = randomCropBox(width, height, [0.3, 1], [3 / 4, 4 / 3], new RandomStream(seed, 'crop'));
      const isInside = box.left >= 0 && box.top >= 0 && box.left + box.width <= width && box.top + box.height <= height;
      const aspect = box.width / box.height;
      return isInside && box.width >= 1 && box.height >= 1 && aspect > 0.7 && aspect < 1.43;
    },
  );
  fc.assert(law, { numRuns: 1000 });
  const areas = Array.from({ length: 3000 }, (_, seed) => {
    const box = randomCropBox(300, 300, [0.3, 1], [3 / 4, 4 / 3], new RandomStream(seed, 'crop'));
    return (box.width * box.height) / 300 ** 2;
  });
  t.true(Math.min(...areas) > 0.29 && Math.max(...areas) <= 1);
  t.true(Math.min(...areas) < 0.32 && Math.max(...areas) > 0.95);
});

test('an image of extreme shape is cut in its middle', (t) => {
  const box = randomCropBox(1000, 10, [0.9, 1], [3 / 4, 4 / 3], new RandomStream(0, 'crop'));
  t.deepEqual(box, { left: 493, top: 0, width: 13, height: 10 });
  t.deepEqual(randomCropBox(1, 1, [0.3, 1], [3 / 4, 4 / 3], new RandomStream(0, 'crop')), {
    left: 0,
    top: 0,
    width: 1,
    height: 1,
  });
});

const CROP: CropSettings = {
  imageSize: SIDE,
  cropScale: [0.3, 1],
  cropAspect: [3 / 4, 4 / 3],
  flip: 0,
  jitter: 0,
  blur: 0,
  pixelLimit: LIMIT,
};

const cropOnce = (bytes: Buffer, change: Partial<CropSettings>) =>
  randomCrops(item(bytes), [{ name: 'image', count: 1, crop: { ...CROP, ...change } }], 0, [1]);

test('the same stream gives the same crop; flip, jitter, blur and solarization each change it', async (t) => {
  const bytes = await picture().png().toBuffer();
  const crop = async (change: Partial<CropSettings>) => Buffer.from(await cropOnce(bytes, change)).toString('base64');
  const plain = await crop({});
  t.is(await crop({}), plain);
  const changed = [
    await crop({ flip: 1 }),
    await crop({ jitter: 0.8 }),
    await crop({ blur: 1 }),
    await crop({ solarize: 1 }),
  ];
  t.is(new Set([plain, ...changed]).size, 5);
  const [before, after] = [await cropOnce(bytes, { jitter: 0.8 }), await cropOnce(bytes, { jitter: 0.8, solarize: 1 })];
  t.deepEqual(
    after,
    before.map((value) => (value < 128 ? value : 255 - value)),
    'it comes last, and leaves everything before it as it was',
  );
});

test('jitter of a picture with 16 bits is that of the same picture with 8', async (t) => {
  const [eight, sixteen] = await Promise.all(
    [picture(), picture().toColourspace('rgb16')].map(async (source) => {
      const bytes = await source.png().toBuffer();
      return cropOnce(bytes, { jitter: 0.5 });
    }),
  );
  const difference = Math.max(...(eight as Uint8Array).map((value, at) => Math.abs(value - (sixteen?.[at] ?? 999))));
  t.true(difference <= 2, `off by ${difference}`);
});

test('normalisation brings a colour to (value / 255 - mean) / standard deviation', (t) => {
  const [red, green, blue] = toNormalised([Uint8Array.of(255, 0, 51)]);
  t.true(Math.abs((red as number) - (1 - MEAN[0]) / STD[0]) < 1e-6);
  t.true(Math.abs((green as number) + MEAN[1] / STD[1]) < 1e-6);
  t.true(Math.abs((blue as number) - (0.2 - MEAN[2]) / STD[2]) < 1e-6);
});

test('folders are listed at any depth, in the order of names, without hidden files; links are followed', async (t) => {
  const folder = await temporaryFolder(t);
  const bytes = await picture().png().toBuffer();
  for (const name of ['b/2.png', 'b/c/1.PNG', 'a.png', '.hidden.png', 'notes.md']) {
    await mkdir(join(folder, name, '..'), { recursive: true });
    await writeFile(join(folder, name), bytes);
  }
  await mkdir(join(folder, '..', `${folder.split('/').at(-1)}-linked`), { recursive: true });
  const linked = `${folder}-linked`;
  await writeFile(join(linked, 'far.png'), bytes);
  t.teardown(async () => (await import('node:fs/promises')).rm(linked, { recursive: true }));
  await symlink(linked, join(folder, 'z'));
  await symlink(folder, join(folder, 'loop'));
  await symlink('itself.png', join(folder, 'itself.png'));
  await symlink('nowhere', join(folder, 'nothing'));
  const namesIn = async (...paths: string[]) => {
    const images = await openFolders(paths);
    return Array.from({ length: images.length }, (_, index) => images.item(index).name.slice(folder.length + 1));
  };
  const all = ['a.png', 'b/2.png', 'b/c/1.PNG', 'z/far.png'];
  t.deepEqual(await namesIn(folder), all, 'a loop adds nothing, and a link that leads nowhere or to itself neither');
  t.deepEqual(await namesIn(folder, folder, join(folder, 'b'), join(folder, 'a.png')), all, 'nothing is taken twice');
});

test('a list names files relative to itself; its fingerprint changes with names and sizes', async (t) => {
  const folder = await temporaryFolder(t);
  await writeFile(join(folder, '1.png'), await picture().png().toBuffer());
  await writeFile(join(folder, 'list.txt'), '# chosen\n1.png\n\nmissing.png\r\n');
  const images = await openFolders([join(folder, 'list.txt')]);
  t.deepEqual([images.item(0).name, images.item(1).name], [join(folder, '1.png'), join(folder, 'missing.png')]);
  await writeFile(join(folder, '1.png'), 'changed');
  t.not((await openFolders([join(folder, 'list.txt')])).fingerprint, images.fingerprint);
});

test('data that is not there, empty or unknown is refused with what was expected', async (t) => {
  const folder = await temporaryFolder(t);
  const refusal = async (...data: string[]) =>
    (await t.throwsAsync(() => openData(data, DATA_SETS), { instanceOf: UserError }))?.message;
  t.regex((await refusal(join(folder, 'nothing'))) ?? '', /nothing does not exist/);
  t.regex((await refusal(folder)) ?? '', /no images in/);
  t.regex((await refusal()) ?? '', /no data was named/);
  t.regex((await refusal('shapes:0')) ?? '', /shapes cannot have '0' images/);
  t.regex((await refusal('shapes', folder)) ?? '', /cannot be mixed/);
  await writeFile(join(folder, 'x.pdf'), 'x');
  t.regex((await refusal(join(folder, 'x.pdf'))) ?? '', /neither a folder, nor an image/);
});
