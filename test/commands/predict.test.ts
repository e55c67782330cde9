import { copyFile, mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import sharp from 'sharp';
import { ijepaHere, temporaryFolder } from '../helpers/command.js';
import { SMALL_SIZE, smallCheckpoint } from '../helpers/features.js';

type Told = { name: string; classes: { class: string; probability: number }[] };

/** Pictures of each class. */
const SHADES = 10;

test.serial('predict tells the classes that a probe found, as often right as the probe was', async (t) => {
  const folder = await temporaryFolder(t);
  const checkpoint = await smallCheckpoint(t);
  for (const part of ['train', 'val']) await drawShades(join(folder, 'data', part));
  const probe = ['probe', checkpoint, '--data', 'data', '--no-baseline', '--engine', 'wasm'];
  const probed = await ijepaHere([...probe, '--out', 'probed', '--json'], folder);
  t.is(probed.code, 0, probed.stderr);
  const { results, files } = JSON.parse(probed.stdout);
  const [head = ''] = await readdir(join(folder, 'probed', 'heads'));
  t.regex(head, /^folder-[0-9a-f]{8}\.safetensors$/);
  t.true(files.includes(join('probed', 'heads', head)));

  const predict = (...words: string[]) => ijepaHere(['predict', ...words, '--engine', 'wasm'], folder);
  const told = await predict('probed', join('data', 'val'), '--json');
  t.is(told.code, 0, told.stderr);
  const images: Told[] = JSON.parse(told.stdout).images;
  t.is(images.length, 3 * SHADES);
  for (const { classes } of images) {
    const probabilities = classes.map(({ probability }) => probability);
    t.deepEqual(
      probabilities,
      probabilities.toSorted((a, b) => b - a),
    );
    t.true(Math.abs(probabilities.reduce((sum, value) => sum + value, 0) - 1) < 1e-9);
  }
  const right = images.filter(({ name, classes }) => name.split(/[\\/]/)[2] === classes[0]?.class);
  t.true(Math.abs((100 * right.length) / images.length - results[0].best.top1.value) < 1e-9);

  const features = ['features', checkpoint, 'data/val', '--engine', 'wasm', '--out', 'test.safetensors'];
  t.is((await ijepaHere(features, folder)).code, 0);
  const [path, other] = [join('probed', 'heads', head), await smallCheckpoint(t, SMALL_SIZE, 1)];
  const lines = await predict(path, 'shapes:2', '--top', '1');
  t.regex(lines.stdout, /3 classes; [\d.]+% of the test images right/);
  t.regex(lines.stdout, / {2,}\d+\.\d% {2}\w+/);
  await mkdir(join(folder, 'empty'));
  await writeFile(join(folder, 'no-head.safetensors'), 'text');
  await mkdir(join(folder, 'two', 'heads'), { recursive: true });
  for (const name of ['a', 'b']) {
    await copyFile(join(folder, path), join(folder, 'two', 'heads', `${name}.safetensors`));
  }
  const cases: [string[], RegExp][] = [
    [['probed'], /missing required argument 'images'/],
    [['nowhere', 'shapes:2'], /nowhere does not exist/],
    [['empty', 'shapes:2'], /there is no head in empty/],
    [['two', 'shapes:2'], /there are 2 heads in two:\s+two\/heads\/a\.safetensors/],
    [['no-head.safetensors', 'shapes:2'], /no-head\.safetensors is damaged/],
    [['test.safetensors', 'shapes:2'], /test\.safetensors is not the head of a probe/],
    [['probed', 'gone.png'], /gone\.png does not exist/],
    [['probed', 'empty'], /no images in empty/],
    [['probed', 'shapes:2', '--checkpoint', other], /belongs to another encoder/],
    [['probed', 'shapes:2', '--checkpoint', 'gone.safetensors'], /gone\.safetensors does not exist/],
  ];
  for (const [words, message] of cases) {
    const { code, stderr } = await ijepaHere(['predict', ...words, '--engine', 'wasm'], folder);
    t.is(code, 2, words.join(' '));
    t.regex(stderr, message);
  }
});

/** Draws flat pictures of three classes, whose shades overlap, so that no head is always right. */
async function drawShades(folder: string): Promise<void> {
  for (const [at, name] of ['dark', 'middle', 'light'].entries()) {
    await mkdir(join(folder, name), { recursive: true });
    for (let index = 0; index < SHADES; index++) {
      const level = 20 + 60 * at + 10 * index;
      const picture = sharp({
        create: { width: 20, height: 20, channels: 3, background: { r: level, g: 90, b: level } },
      });
      await picture.png().toFile(join(folder, name, `${index}.png`));
    }
  }
}
