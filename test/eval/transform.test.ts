import test from 'ava';
import fc from 'fast-check';
import sharp from 'sharp';
import { UserError } from '../../core/base/errors.js';
import { RandomStream } from '../../core/base/random.js';
import { flip } from '../../core/data/augment/geometry.js';
import {
  centreBox,
  testView,
  trainView,
  UnreadableList,
  type ViewSettings,
  viewBatches,
} from '../../core/eval/views.js';
import { labelledImages } from '../helpers/labelled.js';

const CROP: ViewSettings = { imageSize: 28, transform: 'crop', pixelLimit: 1e6 };
const SQUASH: ViewSettings = { ...CROP, transform: 'squash' };

/** An image whose pixel at (x, y) has the given colour. */
function image(width: number, height: number, colour: (x: number, y: number) => readonly [number, number, number]) {
  const data = Buffer.alloc(width * height * 3);
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) data.set(colour(x, y), (y * width + x) * 3);
  return {
    name: 'test',
    source: async () =>
      sharp(data, { raw: { width, height, channels: 3 } })
        .png()
        .toBuffer(),
  };
}

function pixel(rgb: Uint8Array, side: number, x: number, y: number): number[] {
  return [...rgb.subarray((y * side + x) * 3, (y * side + x) * 3 + 3)];
}

test('the middle of a test image lies where torchvision puts it', (t) => {
  // Resize(256) and CenterCrop(224) by hand: 640 * 256 / 480 = 341.3; (341 - 224) / 2 = 58.5, to the even 58; (256 - 224) / 2 = 16.
  t.deepEqual(centreBox(640, 480, 224), { width: 341, height: 256, left: 58, top: 16 });
  t.deepEqual(centreBox(300, 900, 224), { width: 256, height: 768, left: 16, top: 272 });
  t.deepEqual(centreBox(32, 32, 224), { width: 256, height: 256, left: 16, top: 16 });
  t.deepEqual(centreBox(50, 100, 96), { width: 109, height: 218, left: 6, top: 61 });
});

test('the middle of a test image lies inside it, whatever the sizes', (t) => {
  const side = fc.integer({ min: 1, max: 5000 });
  fc.assert(
    fc.property(side, side, fc.integer({ min: 8, max: 512 }), (width, height, imageSize) => {
      const box = centreBox(width, height, imageSize);
      t.true(box.left >= 0 && box.left + imageSize <= box.width);
      t.true(box.top >= 0 && box.top + imageSize <= box.height);
    }),
  );
});

test('a test view shows the middle, in its proportions; a squashed one the whole image', async (t) => {
  // 112 x 56: resized to 64 x 32, of which columns 18 to 46 and rows 2 to 30 are seen: of the image, 31.5 to 80.5.
  const striped = image(112, 56, (x) => (x < 32 || x >= 80 ? [250, 0, 0] : [0, 0, 250]));
  const middle = await testView(striped, CROP);
  t.is(middle.length, 28 * 28 * 3);
  t.deepEqual(pixel(middle, 28, 14, 14), [0, 0, 250]);
  t.true((pixel(middle, 28, 2, 5)[0] as number) < 30, 'the red stripe is cut off');
  const whole = await testView(striped, SQUASH);
  t.deepEqual(pixel(whole, 28, 0, 14), [250, 0, 0]);
  t.deepEqual(pixel(whole, 28, 27, 14), [250, 0, 0]);
  t.deepEqual(pixel(whole, 28, 14, 14), [0, 0, 250]);
});

test('images of one colour keep it in every view', async (t) => {
  const plain = image(70, 40, () => [13, 130, 240]);
  for (const settings of [CROP, SQUASH]) {
    const views = [await testView(plain, settings)];
    for (let seed = 0; seed < 8; seed++) views.push(await trainView(plain, settings, new RandomStream(seed, 'view')));
    for (const view of views) {
      t.is(view.length, 28 * 28 * 3);
      t.true(view.every((value, at) => value === ([13, 130, 240][at % 3] as number)));
    }
  }
});

test('half of the squashed training views are the test view, the others its mirror image', async (t) => {
  const slope = image(28, 28, (x, y) => [x * 9, y * 9, 100]);
  const plain = await testView(slope, SQUASH);
  const flipped = flip({ rgb: plain, width: 28, height: 28 }).rgb;
  t.notDeepEqual(plain, flipped);
  let flips = 0;
  for (let seed = 0; seed < 64; seed++) {
    const view = Uint8Array.from(await trainView(slope, SQUASH, new RandomStream(seed, 'view')));
    const isFlipped = Buffer.compare(view, flipped) === 0;
    t.true(isFlipped || Buffer.compare(view, plain) === 0);
    flips += Number(isFlipped);
  }
  t.true(flips > 16 && flips < 48, `${flips} of 64`);
});

test('a training crop covers 8% to 100% of the area, at aspect ratios of 3/4 to 4/3, upright or mirrored', async (t) => {
  // Red tells the column and green the row, so that a view tells its own box.
  const [width, height] = [250, 200];
  const slope = image(width, height, (x, y) => [x, y, 0]);
  let mirroredViews = 0;
  for (let seed = 0; seed < 48; seed++) {
    const view = await trainView(slope, CROP, new RandomStream(seed, 'crop'));
    const [left, right] = [pixel(view, 28, 0, 14)[0], pixel(view, 28, 27, 14)[0]] as [number, number];
    const [top, bottom] = [pixel(view, 28, 14, 0)[1], pixel(view, 28, 14, 27)[1]] as [number, number];
    const boxWidth = (Math.abs(right - left) * 28) / 27; // between the centres of the outer pixels
    const boxHeight = ((bottom - top) * 28) / 27;
    const area = (boxWidth * boxHeight) / (width * height);
    t.true(area > 0.07 && area <= 1.03, `area ${area}`);
    t.true(boxWidth / boxHeight > 0.7 && boxWidth / boxHeight < 1.42, `aspect ${boxWidth / boxHeight}`);
    mirroredViews += Number(right < left);
  }
  t.true(mirroredViews > 10 && mirroredViews < 38, `${mirroredViews} of 48`);
});

test('the stream decides a training view', async (t) => {
  const noise = new RandomStream(1, 'noise');
  const colours = Array.from({ length: 60 * 60 }, () => [noise.integer(0, 255), noise.integer(0, 255), 0] as const);
  const item = image(60, 60, (x, y) => colours[y * 60 + x] as (typeof colours)[number]);
  const view = (seed: number) => trainView(item, CROP, new RandomStream(seed, 'view', 3));
  t.deepEqual(await view(5), await view(5));
  t.notDeepEqual(await view(5), await view(6));
});

test('very long images and ones of a single pixel have views', async (t) => {
  for (const item of [image(1, 1, () => [9, 9, 9]), image(2000, 3, () => [9, 9, 9])]) {
    for (const settings of [CROP, SQUASH]) {
      t.true((await testView(item, settings)).every((value) => value === 9));
      t.true((await trainView(item, settings, new RandomStream(0, 'view'))).every((value) => value === 9));
    }
  }
});

test('images beyond the limit of pixels are refused', async (t) => {
  const item = image(40, 40, () => [0, 0, 0]);
  await t.throwsAsync(testView(item, { ...CROP, pixelLimit: 1599 }));
  await t.notThrowsAsync(testView(item, { ...CROP, pixelLimit: 1600 }));
});

test('images that cannot be read are left out; an error that is about no image ends all, whether or not a list is kept', async (t) => {
  const { source } = image(20, 20, () => [1, 2, 3]);
  const views = async (second: () => Promise<Buffer>, unreadable: UnreadableList | null) => {
    const images = labelledImages([0, 1, 2], undefined, (index) => (index === 1 ? second : source));
    const batches = viewBatches(images, { turns: 3, viewOf: (item) => testView(item, CROP), batchSize: 2 }, unreadable);
    const found: number[][][] = [];
    for await (const { turns, labels } of batches) found.push([turns, [...labels]]);
    return found;
  };
  for (const unreadable of [null, new UnreadableList(3, 0.5)]) {
    const damaged = await views(async () => Buffer.from('no picture'), unreadable);
    t.deepEqual(damaged, [
      [[0], [0]],
      [[2], [2]],
    ]);
    const away = views(async () => {
      throw new UserError('the server stays away');
    }, unreadable);
    await t.throwsAsync(away, { instanceOf: UserError, message: 'the server stays away' });
  }
});
