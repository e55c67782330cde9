import { readFileSync } from 'node:fs';
import { cp, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import sharp from 'sharp';
import { UserError } from '../../core/base/errors.js';
import { readClassMask } from '../../core/data/decode/png-ids.js';
import { tf } from '../../core/engine/tf.js';
import { loadNetwork, randomNetwork } from '../../core/eval/network.js';
import { segmentationProbe } from '../../core/eval/segmentation.js';
import { openMasked } from '../../core/eval/segmentation-data.js';
import { countPixels, patchClasses, segmentationScore } from '../../core/eval/segmentation-score.js';
import { temporaryFolder } from '../helpers/command.js';
import { findEngines, firstOf, testOnEngines } from '../helpers/engines.js';
import { EXTRACTION, smallCheckpoint } from '../helpers/features.js';
import { writeMask, writeShapesWithMasks } from '../helpers/masked.js';
import { FIXTURES } from '../helpers/paths.js';

const first = firstOf(await findEngines());

/** Computed with NumPy, PyTorch, scikit-learn and Pillow by fixtures/segmentation/make_golden.py. */
const GOLDEN: {
  ids: number[];
  grid: number;
  patchSize: number;
  images: { height: number; width: number; mask: number[]; logits: number[]; patches: number[] }[];
  confusion: number[];
  iou: number[];
  meanIou: number;
  pixelAccuracy: number;
  pngs: { what: string; file: string; width: number; ids: number[] }[];
  refused: { what: string; file: string }[];
} = JSON.parse(readFileSync(join(FIXTURES, 'segmentation', 'golden.json'), 'utf8'));
const LIMIT = 1e6;

test("classes of patches, and of pixels by interpolated logits, are NumPy's and PyTorch's", (t) => {
  const { ids, grid, patchSize, images } = GOLDEN;
  const classOf = new Int16Array(256).fill(-1);
  for (const [place, id] of ids.entries()) classOf[id] = place;
  const confusion = new Float64Array(ids.length ** 2);
  for (const { height, width, mask, logits, patches } of images) {
    const own = { height, width, ids: Uint8Array.from(mask) };
    t.deepEqual([...patchClasses(own, classOf, grid, patchSize)], patches);
    countPixels(Float64Array.from(logits), grid, own, classOf, confusion);
  }
  t.deepEqual([...confusion], GOLDEN.confusion);
  const { iou, meanIou, pixelAccuracy } = segmentationScore(confusion);
  for (const [at, expected] of GOLDEN.iou.entries()) t.true(Math.abs((iou[at] ?? 0) - expected) < 1e-9, `class ${at}`);
  t.true(Math.abs(meanIou - GOLDEN.meanIou) < 1e-9);
  t.true(Math.abs(pixelAccuracy - GOLDEN.pixelAccuracy) < 1e-9);
});

test('a class that is neither there nor named has no part in the mean', (t) => {
  const { iou, meanIou, pixelAccuracy } = segmentationScore(Float64Array.of(6, 2, 0, 0, 2, 0, 0, 0, 0));
  t.deepEqual(iou, [75, 50, null]);
  t.deepEqual([meanIou, pixelAccuracy], [62.5, 80]);
});

test('numbers of indexed and grey PNGs are those that Pillow wrote', (t) => {
  for (const { what, file, width, ids } of GOLDEN.pngs) {
    const read = readClassMask(Buffer.from(file, 'base64'), LIMIT);
    t.deepEqual([read.width, [...read.ids]], [width, ids], what);
  }
  const reasons = [/16 bits: there can be classes 0 to 254/, /it is RGB, not indexed or grey/];
  for (const [at, { file }] of GOLDEN.refused.entries())
    t.throws(() => readClassMask(Buffer.from(file, 'base64'), LIMIT), { message: reasons[at] });
  const whole = Buffer.from(GOLDEN.pngs[0]?.file ?? '', 'base64');
  t.throws(() => readClassMask(whole.subarray(0, 50), LIMIT), { message: 'it is cut short' });
  t.throws(() => readClassMask(Buffer.from('GIF89a'), LIMIT), { message: 'it is no PNG' });
  t.throws(() => readClassMask(whole, 10), { message: /more than the limit of 10/ });
});

testOnEngines(
  test,
  first,
  'patch tokens tell bright discs from grey squares, with the same bits each time',
  async (t, engine) => {
    const folder = await temporaryFolder(t);
    await writeShapesWithMasks(folder, 20);
    const data = await openMasked(folder, 0, LIMIT);
    t.like(data, { classes: [0, 1, 2], train: { length: 16 }, test: { length: 4 } });
    const small = await loadNetwork(await smallCheckpoint(t));
    const network = { ...randomNetwork(small, 0), imageSize: 32 };
    small.dispose();
    const before = tf.memory().numTensors;
    const probe = () => segmentationProbe(engine, network, data, EXTRACTION, () => {});
    const found = await probe();
    t.is(tf.memory().numTensors, before);
    t.like(found, { data: folder, classes: [0, 1, 2], trainImages: 16, testImages: 4, patches: 16 * 64 });
    t.true(found.meanIou > 50, `${found.iou}`);
    t.true(found.pixelAccuracy > 80, `${found.pixelAccuracy}`);
    t.deepEqual(await probe(), found);
    network.dispose();
  },
);

test('folders for training and testing are taken in either order', async (t) => {
  const folder = await temporaryFolder(t);
  await writeShapesWithMasks(join(folder, 'train'), 3, 1);
  await writeShapesWithMasks(join(folder, 'val'), 2, 2);
  const one = await openMasked(`folder:${folder}`, 0, LIMIT);
  t.like(one, { train: { length: 3 }, test: { length: 2 } });
  const other = await temporaryFolder(t);
  for (const what of ['images', 'masks']) {
    await mkdir(join(other, what));
    for (const part of ['train', 'val']) await rename(join(folder, part, what), join(other, what, part));
  }
  const moved = await openMasked(other, 0, LIMIT);
  t.like(moved, { train: { length: 3 }, test: { length: 2 } });
  t.deepEqual(await moved.test.mask(1), await readMask(join(other, 'masks', 'val', 'shape-1.png')));
});

async function readMask(path: string) {
  return readClassMask(readFileSync(path), LIMIT);
}

test('what cannot be judged gets one message', async (t) => {
  const whole = await temporaryFolder(t);
  await writeShapesWithMasks(join(whole, 'train'), 2, 1);
  await writeShapesWithMasks(join(whole, 'val'), 2, 2);
  const mask = (folder: string, part = 'train') => join(folder, part, 'masks', 'shape-1.png');
  const refused: [change: (folder: string) => Promise<unknown>, message: RegExp][] = [
    [(folder) => rm(join(folder, 'train'), { recursive: true }), /is no folder of pictures with masks$/],
    [(folder) => rm(mask(folder)), /^1 of 2 pictures have no mask in .*: .*shape-1\.png$/],
    [
      (folder) => writeMask(mask(folder), new Uint8Array(12), 4),
      /^the mask of .* has 4 x 3 pixels, the picture \d+ x \d+$/,
    ],
    [
      async (folder) => {
        const { width, height } = await readMask(mask(folder, 'val'));
        await writeMask(mask(folder, 'val'), new Uint8Array(width * height).fill(9), width);
      },
      /^classes 9 are in masks for testing alone/,
    ],
    [
      async (folder) => {
        for (const name of ['shape-0', 'shape-1']) {
          const path = join(folder, 'train', 'masks', `${name}.png`);
          const { width, height } = await readMask(path);
          await writeMask(path, new Uint8Array(width * height), width);
        }
        await cp(join(folder, 'train'), join(folder, 'val'), { recursive: true });
      },
      /have 1 classes$/,
    ],
    [(folder) => writeFile(mask(folder), 'text'), /^the mask .* cannot be read: it is no PNG$/],
    [
      async (folder) => {
        const create = { width: 30, height: 30, channels: 3 as const, background: 'red' };
        await sharp({ create }).png().toFile(mask(folder));
      },
      /cannot be read: it is RGB, not indexed or grey numbers of classes$/,
    ],
  ];
  for (const [change, message] of refused) {
    const folder = await temporaryFolder(t);
    await cp(whole, folder, { recursive: true });
    await change(folder);
    await t.throwsAsync(openMasked(folder, 0, LIMIT), { instanceOf: UserError, message });
  }
});
