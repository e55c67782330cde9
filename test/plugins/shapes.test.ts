import test from 'ava';
import sharp from 'sharp';
import plugin from '../../plugins/shapes/index.js';
import { CLASSES, COUNTS, DISTANCES, drawScene, RADIUS, SCENE_SIZE } from '../../plugins/shapes/scene.js';

test('a scene is the same every time and differs from its neighbours', (t) => {
  t.deepEqual(drawScene(7), drawScene(7));
  t.is(new Set(Array.from({ length: 100 }, (_, index) => drawScene(index).svg)).size, 100);
});

test('every label is met about as often as the others', (t) => {
  const scenes = Array.from({ length: 3000 }, (_, index) => drawScene(index).labels);
  for (const [question, answers] of Object.entries({
    class: CLASSES.length,
    count: COUNTS[1] - COUNTS[0] + 1,
    distance: DISTANCES.length,
  })) {
    const counts = Array(answers).fill(0);
    for (const labels of scenes) counts[labels[question as keyof typeof labels]]++;
    t.true(Math.min(...counts) > (0.8 * scenes.length) / answers, `${question}: ${counts}`);
    t.is(
      counts.reduce((sum, count) => sum + count, 0),
      scenes.length,
      `${question} has no other answers`,
    );
  }
});

test('the labels say what the picture shows', (t) => {
  for (let index = 0; index < 200; index++) {
    const { svg, labels } = drawScene(index);
    const scales = [...svg.matchAll(/scale\(([\d.]+)\)/g)].map((match) => Number(match[1]));
    t.is(scales.length, labels.count + COUNTS[0], `shapes of scene ${index}`);
    const distance = RADIUS / Math.max(...scales);
    t.true(distance <= (DISTANCES[labels.distance] as number) + 0.01, `distance of scene ${index}`);
    t.true(labels.distance === 0 || distance >= (DISTANCES[labels.distance - 1] as number) - 0.01);
  }
});

test('a collection draws its pictures, which are not of one colour', async (t) => {
  const images = await plugin.dataSets[0]?.open('5');
  t.is(images?.length, 5);
  const { source } = images?.item(2) ?? {};
  const { info, data } = await sharp(await (source as () => Promise<Uint8Array>)())
    .removeAlpha()
    .raw()
    .toBuffer({ resolveWithObject: true });
  t.deepEqual([info.width, info.height], [SCENE_SIZE, SCENE_SIZE]);
  t.true(new Set(data).size > 50);
});

test('collections of other lengths have other fingerprints', async (t) => {
  const [five, six] = await Promise.all([plugin.dataSets[0]?.open('5'), plugin.dataSets[0]?.open('6')]);
  t.not(five?.fingerprint, six?.fingerprint);
});
