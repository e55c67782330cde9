import { mkdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import sharp from 'sharp';
import { ijepaHere, temporaryFolder } from '../helpers/command.js';
import { SMALL_SIZE, smallCheckpoint } from '../helpers/features.js';

test.serial('a copy of an image finds its original, as a file and by its name in the file of features', async (t) => {
  const folder = await temporaryFolder(t);
  const checkpoint = await smallCheckpoint(t);
  await drawImages(join(folder, 'pictures'), 5);
  await drawImages(join(folder, 'copies'), 2);
  const features = ['features', checkpoint, 'pictures', '--out', 'a.safetensors', '--engine', 'wasm'];
  t.is((await ijepaHere(features, folder)).code, 0);
  const search = (...words: string[]) =>
    ijepaHere(['search', ...words, '--in', 'a.safetensors', '--engine', 'wasm'], folder);

  const copy = await search('copies/1.png', 'pictures/0.png', '--top', '2', '--out', 'sheet.png', '--json');
  t.is(copy.code, 0, copy.stderr);
  const { results, images, out } = JSON.parse(copy.stdout);
  t.is(images, 5);
  t.is(out, 'sheet.png');
  t.like(results[0].nearest[0], { name: 'pictures/1.png', class: null });
  t.true(Math.abs(results[0].nearest[0].similarity - 1) < 1e-5);
  t.is(results[1].query, 'pictures/0.png');
  t.false(results[1].nearest.some(({ name }: { name: string }) => name === 'pictures/0.png'));
  const { width, height } = await sharp(join(folder, 'sheet.png')).metadata();
  t.true(width > 450 && height > 400, `${width} x ${height}`);

  await rename(join(folder, 'pictures'), join(folder, 'moved'));
  const gone = await search('pictures/0.png', '--top', '1', '--out', 'gone.png');
  t.regex(gone.stdout, /2 pictures in it could not be read: name the folder of the images with --data/);
  const found = await search('pictures/0.png', '--top', '1', '--out', 'found.png', '--data', 'moved');
  t.notRegex(found.stdout, /could not be read/);
});

test.serial('a folder is searched by the weights of the program, or by those that are named', async (t) => {
  const folder = await temporaryFolder(t);
  await drawImages(join(folder, 'pictures'), 4);
  const search = async (...words: string[]) => {
    const asked = ['search', 'pictures/2.png', '--in', 'pictures', '--engine', 'wasm', '--json', ...words];
    const { code, stdout, stderr } = await ijepaHere(asked, folder);
    t.is(code, 0, stderr);
    return { said: stderr, found: JSON.parse(stdout) };
  };
  const { said, found } = await search();
  t.regex(said, /ViT 128x2\/8, in builtin:drawings/);
  t.is(found.images, 4);
  t.deepEqual(found.results[0].nearest.map(({ name }: { name: string }) => name).sort(), [
    'pictures/0.png',
    'pictures/1.png',
    'pictures/3.png',
  ]);
  const other = await search('--checkpoint', await smallCheckpoint(t));
  t.regex(other.said, /ViT 16x5\/4/);
  const similarity = ({ results }: typeof found) => results[0].nearest[0].similarity;
  t.not(similarity(other.found), similarity(found));
});

test.serial('mistakes in a search have one clear message each', async (t) => {
  const folder = await temporaryFolder(t);
  const [checkpoint, other] = [await smallCheckpoint(t), await smallCheckpoint(t, SMALL_SIZE, 1)];
  await drawImages(join(folder, 'pictures'), 2);
  const features = ['features', checkpoint, 'pictures', '--engine', 'wasm', '--out'];
  for (const out of ['a.safetensors', 'a.npy']) t.is((await ijepaHere([...features, out], folder)).code, 0);
  const [own, picture] = [['--in', 'a.safetensors'], join('pictures', '0.png')];
  const cases: [string[], RegExp][] = [
    [own, /missing required argument 'query'/],
    [
      ['pictures/0.pgn', ...own],
      /neither an image file nor the name of an image in a\.safetensors[\s\S]*'pictures\/0\.png'/,
    ],
    [[picture, '--in', 'b.safetensors'], /b\.safetensors does not exist/],
    [[picture, '--in', checkpoint], /is no file of features/],
    [[picture, '--in', 'a.npy'], /a\.npy does not say which encoder computed it/],
    [['./pictures/0.png', ...own, '--checkpoint', other], /belongs to another encoder/],
    [[picture, ...own, '--data', 'pictures'], /no picture was asked for/],
    [[picture, ...own, '--out', picture], /exists/],
    [[picture, ...own, '--out', picture, '--force'], /is one of the images that are to be shown/],
  ];
  for (const [args, message] of cases) {
    const { code, stderr } = await ijepaHere(['search', ...args], folder);
    t.is(code, 2, args.join(' '));
    t.regex(stderr, message);
  }
});

/** Draws a folder of pictures with a bar, each at another place. */
async function drawImages(folder: string, count: number): Promise<void> {
  await mkdir(folder);
  for (let index = 0; index < count; index++) {
    const bar = `<rect x="${6 * index}" width="5" height="40" fill="hsl(${70 * index},80%,50%)"/>`;
    const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="40" height="40"><rect width="40" height="40"/>${bar}</svg>`;
    await sharp(Buffer.from(svg))
      .png()
      .toFile(join(folder, `${index}.png`));
  }
}
