import test from 'ava';
import fc from 'fast-check';
import { UserError } from '../../core/base/errors.js';
import { classifyImages } from '../../core/eval/evaluate.js';
import { loadNetwork, networkBackbone } from '../../core/eval/network.js';
import { openProbeImages, type ProbeImages, readProbe } from '../../core/eval/online-probe.js';
import type { DataSet, LabelledImages } from '../../core/plugin.js';
import { findEngines, testOnEngines, withoutCpu, withoutOpenvino } from '../helpers/engines.js';
import { EXTRACTION, smallCheckpoint, someImages } from '../helpers/features.js';
import { labelledImages } from '../helpers/labelled.js';

const engines = withoutCpu(withoutOpenvino(await findEngines()));

/** A data set of these images; its test images cannot be looked at. */
function dataSetOf(train: LabelledImages, classes: number): DataSet {
  const closed = () => {
    throw new Error('the test images were looked at');
  };
  const data = {
    classes: Array.from({ length: classes }, (_, label) => `class ${label}`),
    train,
    test: { ...labelledImages([0, 1]), item: closed, classOf: closed },
  };
  return { name: 'mine', summary: '', open: async () => train, openLabelled: async () => data };
}

const draw = (train: LabelledImages, classes: number, count: number, seed = 0) =>
  openProbeImages('mine', [dataSetOf(train, classes)], count, seed);
const namesOf = (images: LabelledImages) =>
  Array.from({ length: images.length }, (_, index) => images.item(index).name);
const classesOf = ({ classes }: ProbeImages, images: LabelledImages) =>
  Array.from({ length: images.length }, (_, index) => classes[images.classOf(index)]);

test('images of a probe are training images, drawn by the seed, as many of each class as it has its part, a third to judge by', async (t) => {
  const labels = fc.array(fc.integer({ min: 0, max: 4 }), { minLength: 12, maxLength: 300 });
  const law = fc.asyncProperty(labels, fc.integer({ min: 12, max: 400 }), fc.nat(), async (labels, count, seed) => {
    fc.pre(new Set(labels).size > 1);
    const images = labelledImages(labels);
    const drawn = await draw(images, 6, count, seed);
    const [train, judged] = [namesOf(drawn.train), namesOf(drawn.test)];
    const all = [...train, ...judged];
    const ofClass = (label: number) => all.filter((name) => name.startsWith(`class${label}/`)).length;
    const partOf = (label: number) => {
      const own = labels.filter((other) => other === label).length;
      return own === 0 ? 0 : Math.min(own, Math.max(1, Math.round(Math.min(1, count / labels.length) * own)));
    };
    return (
      new Set(all).size === all.length &&
      judged.length === Math.floor(all.length / 3) &&
      [0, 1, 2, 3, 4, 5].every((label) => ofClass(label) === partOf(label)) &&
      [drawn.train, drawn.test].every((part) =>
        classesOf(drawn, part).every((name, at) => namesOf(part)[at]?.startsWith(`class${name?.at(-1)}/`)),
      ) &&
      drawn.train.fingerprint === (await draw(images, 6, count, seed)).train.fingerprint
    );
  });
  await fc.assert(law, { numRuns: 100 });
  const many = labelledImages(Array.from({ length: 200 }, (_, at) => at % 5));
  t.notDeepEqual(namesOf((await draw(many, 5, 60, 1)).train), namesOf((await draw(many, 5, 60, 2)).train));
});

test('of many classes a hundred are drawn, with their own names', async (t) => {
  const images = labelledImages(Array.from({ length: 3000 }, (_, at) => at % 300));
  const drawn = await draw(images, 300, 500);
  t.is(drawn.classes.length, 100);
  t.is(drawn.train.length + drawn.test.length, 500);
  for (const part of [drawn.train, drawn.test]) {
    const told = namesOf(part).map((name) => /^class(\d+)/.exec(name)?.[1]);
    t.deepEqual(
      classesOf(drawn, part),
      told.map((label) => `class ${label}`),
    );
  }
});

test('what cannot be probed is one message', async (t) => {
  const refused = (message: RegExp, images: LabelledImages | null) =>
    t.throwsAsync(
      images
        ? draw(images, 2, 100)
        : openProbeImages('none', [{ name: 'none', summary: '', open: async () => someImages(9) }], 9, 0),
      { instanceOf: UserError, message },
    );
  await refused(/none has no labels to evaluate with/, null);
  await refused(/two classes are needed.*mine/, labelledImages([1, 1, 1, 1]));
  await refused(/2 training images, too few for a probe/, labelledImages([0, 1]));
  await t.throwsAsync(openProbeImages('mime', [dataSetOf(labelledImages([0, 1]), 2)], 9, 0), {
    instanceOf: UserError,
    message: /unknown folder or data set 'mime'/,
  });
});

const title = 'a probe tells what an evaluation of the same images tells';
testOnEngines(test, engines, title, async (t, engine) => {
  const network = await loadNetwork(await smallCheckpoint(t));
  const images = await draw(someImages(48), 3, 45);
  const settings = { together: 7, pixelLimit: 1e6, maxUnreadable: 0, signal: new AbortController().signal };
  const probe = await readProbe(engine, networkBackbone(network), images, settings);
  t.deepEqual(probe.images, { classes: 3, train: 30, test: 15, bytes: 45 * 16 * 16 * 3 });
  const told = await probe.judge(network.encoder);
  const { views: _views, seed: _seed, ...extraction } = EXTRACTION;
  const judged = await classifyImages(engine, network, images, { ...extraction, ...images.view }, { images: () => {} });
  const twenty = judged.neighbours.find(({ k }) => k === 20)?.top1.value ?? Number.NaN;
  t.is(told.logistic, Number(judged.logistic.top1.value.toFixed(4)));
  t.is(told.neighbours, Number(twenty.toFixed(4)));
  t.true(told.logistic > 0 && told.logistic < 100);
  t.deepEqual(await probe.judge(network.encoder), told);
  network.dispose();
});
