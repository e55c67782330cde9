import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import fc from 'fast-check';
import { UserError } from '../../core/base/errors.js';
import { percentWithin, ranksOf } from '../../core/eval/accuracy.js';
import { subsetByFile, subsetByFraction } from '../../core/eval/labelled-data.js';
import type { LabelledImages } from '../../core/plugin.js';
import { temporaryFolder } from '../helpers/command.js';
import { labelledImages } from '../helpers/labelled.js';

const IMAGENET = ['n01440764_10026', 'n01440764_10027', 'n01443537_2', 'n01443537_16'];

function imageNet(folder = 'train/', extension = '.JPEG'): LabelledImages {
  return labelledImages(
    [0, 0, 1, 1],
    (index) => `${folder}${IMAGENET[index]?.split('_')[0]}/${IMAGENET[index]}${extension}`,
  );
}

const names = (images: LabelledImages) => Array.from({ length: images.length }, (_, index) => images.item(index).name);
const labelsOf = (images: LabelledImages) => Array.from({ length: images.length }, (_, index) => images.classOf(index));

async function listOf(t: Parameters<typeof temporaryFolder>[0], text: string): Promise<string> {
  const path = join(await temporaryFolder(t), 'list.txt');
  await writeFile(path, text);
  return path;
}

const anyImages = fc
  .array(fc.integer({ min: 0, max: 7 }), { minLength: 1, maxLength: 400 })
  .map((labels) => ({ labels, images: labelledImages(labels) }));
const anyFraction = fc.double({ min: 0.001, max: 1, noNaN: true });

test('a part of the labels keeps its laws for any images, fraction and seed', (t) => {
  const law = fc.property(anyImages, anyFraction, fc.nat(), ({ labels, images }, fraction, seed) => {
    const part = subsetByFraction(images, 8, fraction, seed);
    const places = names(part).map((name) => Number(/_(\d+)\.png$/.exec(name)?.[1]));
    const inOrder = places.every((place, at) => at === 0 || place > (places[at - 1] as number));
    const rightClasses = labelsOf(part).every((label, at) => label === labels[places[at] as number]);
    const sizes = Array.from({ length: 8 }, (_, label) => {
      const all = labels.filter((one) => one === label).length;
      const taken = labelsOf(part).filter((one) => one === label).length;
      return all === 0 ? taken === 0 : taken >= 1 && (taken === 1 || Math.abs(taken - fraction * all) <= 0.5);
    });
    return inOrder && rightClasses && sizes.every(Boolean);
  });
  t.notThrows(() => fc.assert(law, { numRuns: 300, seed: 1 }));
});

test('a part of the labels depends on its seed, and lies within a larger part of the same seed', (t) => {
  const law = fc.property(anyImages, anyFraction, anyFraction, fc.nat(), ({ images }, one, other, seed) => {
    const small = subsetByFraction(images, 8, Math.min(one, other), seed);
    const large = new Set(names(subsetByFraction(images, 8, Math.max(one, other), seed)));
    const again = subsetByFraction(images, 8, Math.min(one, other), seed);
    return names(small).every((name) => large.has(name)) && again.fingerprint === small.fingerprint;
  });
  t.notThrows(() => fc.assert(law, { numRuns: 200, seed: 1 }));
  const images = labelledImages(Array.from({ length: 1000 }, (_, index) => index % 10));
  const [first, second] = [subsetByFraction(images, 10, 0.1, 0), subsetByFraction(images, 10, 0.1, 1)];
  t.is(first.length, 100);
  t.notDeepEqual(names(first), names(second));
  t.is(new Set([images.fingerprint, first.fingerprint, second.fingerprint]).size, 3);
});

test('a part that is no part is refused', (t) => {
  for (const fraction of [0, -0.1, 1.01, Number.NaN]) {
    const error = t.throws(() => subsetByFraction(imageNet(), 2, fraction, 0), { instanceOf: UserError });
    t.regex(error.report, /above 0, up to 1/);
  }
});

test('a list picks its images by name, whatever their folder and extension, in the order of the images', async (t) => {
  const list = await listOf(t, '# one percent\nn01443537_2.JPEG\r\n\nn01440764_10027.JPEG\nn01443537_2.JPEG\n');
  for (const images of [imageNet(), imageNet('shard-000.tar/', '.jpg'), imageNet('C:\\train\\')]) {
    const part = await subsetByFile(images, list);
    t.deepEqual(labelsOf(part), [0, 1]);
    t.deepEqual(names(part), [images.item(1).name, images.item(2).name]);
    t.not(part.fingerprint, images.fingerprint);
    t.throws(() => part.item(2));
  }
});

test('a list that does not fit the images is refused with examples', async (t) => {
  const missing = await listOf(t, ['n01440764_10026.JPEG', ...[1, 2, 3, 4].map((n) => `n9_${n}.JPEG`)].join('\n'));
  const error = await t.throwsAsync(subsetByFile(imageNet(), missing), { instanceOf: UserError });
  t.regex(error?.report ?? '', /4 of the 5 images in .*n9_1\.JPEG, n9_2\.JPEG, n9_3\.JPEG, \.\.\./);
  t.regex(error?.report ?? '', /such as n01440764_10026\.JPEG/);

  const twice = labelledImages([0, 1], (index) => `${index}/same.png`);
  const doubtful = await t.throwsAsync(subsetByFile(twice, await listOf(t, 'same.png')), { instanceOf: UserError });
  t.regex(doubtful?.message ?? '', /several images/);

  await t.throwsAsync(subsetByFile(imageNet(), await listOf(t, '\n')), { instanceOf: UserError, message: /no image/ });
  await t.throwsAsync(subsetByFile(imageNet(), 'nowhere.txt'), { instanceOf: UserError, message: /does not exist/ });
});

test('ranks count the other classes that are not below the right one', (t) => {
  const logits = Float32Array.from([3, 1, 2, 0, 5, 5, 1, 2, 3, 7, 7, 7]);
  t.deepEqual(ranksOf(logits, Int32Array.from([0, 1, 0, 2]), 3), Int32Array.from([0, 1, 2, 2])); // ties count against it
  const ranks = Int32Array.from([0, 1, 2, 0]);
  t.deepEqual(
    [1, 2, 5].map((within) => percentWithin(ranks, within)),
    [50, 75, 100],
  );
});

test('logits that are no numbers are wrong answers, and classes that are none are refused', (t) => {
  const none = Float32Array.from([Number.NaN, Number.NaN, 1, Number.NaN]);
  t.deepEqual(ranksOf(none, Int32Array.from([0, 0]), 2), Int32Array.from([1, 1]));
  t.throws(() => ranksOf(Float32Array.from([1, 2]), Int32Array.from([2]), 2));
  t.throws(() => ranksOf(Float32Array.from([1, 2]), Int32Array.from([-1]), 2));
  t.throws(() => ranksOf(Float32Array.from([1, 2, 3]), Int32Array.from([0]), 2));
});
