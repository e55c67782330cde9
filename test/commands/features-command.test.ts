import { existsSync, readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import test from 'ava';
import sharp from 'sharp';
import { readSafetensors } from '../../core/checkpoint/safetensors.js';
import { ijepa, ijepaHere, SMALLEST, temporaryFolder } from '../helpers/command.js';
import { piecesIn, smallCheckpoint } from '../helpers/features.js';

test.serial('features of a run and a folder of images, as safetensors and for NumPy', async (t) => {
  const folder = await temporaryFolder(t);
  const run = await ijepaHere(['pretrain', ...SMALLEST, '--epochs', '1', '--out', 'run'], folder);
  t.is(run.code, 0, run.stderr);
  await drawImages(folder, 3);
  const written = await ijepaHere(
    ['features', 'run', 'pictures', '--out', 'a.safetensors', '--engine', 'wasm'],
    folder,
  );
  t.is(written.code, 0, written.stderr);
  t.regex(written.stdout, /3 rows of 16 features, 3 computed/);
  t.regex(written.stdout, /1 epoch on shapes:48/);
  const { tensors, metadata } = await readSafetensors(join(folder, 'a.safetensors'));
  t.deepEqual([...tensors.keys()], ['features']);
  t.deepEqual(tensors.get('features')?.shape, [3, 16]);
  t.deepEqual(JSON.parse(metadata.names ?? ''), ['pictures/0.png', 'pictures/1.png', 'pictures/2.png']);
  t.like(metadata, { encoder: 'target', layers: 'last', transform: 'crop', views: 'test', imageSize: '16' });

  const numpy = await ijepaHere(
    ['features', 'run', 'pictures', '--out', 'a.npy', '--engine', 'wasm', '--json'],
    folder,
  );
  t.is(numpy.code, 0, numpy.stderr);
  t.like(JSON.parse(numpy.stdout), { files: ['a.npy', 'a.names.txt'], rows: 3, columns: 16, computed: 3 });
  t.is(readFileSync(join(folder, 'a.names.txt'), 'utf8'), 'pictures/0.png\npictures/1.png\npictures/2.png\n');
  const bytes = readFileSync(join(folder, 'a.npy'));
  t.is(bytes.subarray(0, 8).toString('latin1'), '\x93NUMPY\x01\x00');
  const start = 10 + bytes.readUInt16LE(8);
  t.is(start % 64, 0);
  t.is(
    bytes.subarray(10, start).toString('latin1').trim(),
    "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 16), }",
  );
  t.is(bytes[start - 1], 10);
  t.deepEqual([...bytes.subarray(start)], [...bytesOf(tensors.get('features')?.data)]);
});

test.serial('a killed extraction goes on from its cache and writes the same file', async (t) => {
  const folder = await temporaryFolder(t);
  const checkpoint = await smallCheckpoint(t);
  const args = (out: string) => ['features', checkpoint, 'shapes:240', '--out', out, '--engine', 'wasm', '--json'];
  const cache = join(folder, 'cache');
  const killed = await ijepa([...args('killed.safetensors'), '--cache', 'cache'], folder, async (child) => {
    while (child.exitCode === null && piecesIn(cache) < 3) await pause(5);
    child.kill('SIGKILL');
  });
  t.is(killed.signal, 'SIGKILL');
  t.false(existsSync(join(folder, 'killed.safetensors')));
  const resumed = await ijepaHere([...args('resumed.safetensors'), '--cache', 'cache'], folder);
  t.is(resumed.code, 0, resumed.stderr);
  const { computed } = JSON.parse(resumed.stdout);
  t.true(computed > 0 && computed <= 240 - 3 * 16, `computed ${computed}`);
  const whole = await ijepaHere(args('whole.safetensors'), folder);
  t.is(whole.code, 0, whole.stderr);
  t.deepEqual(readFileSync(join(folder, 'resumed.safetensors')), readFileSync(join(folder, 'whole.safetensors')));
});

test.serial(
  'patch tokens go beside the features, which are their mean; images that cannot be read have none',
  async (t) => {
    const folder = await temporaryFolder(t);
    const checkpoint = await smallCheckpoint(t);
    await drawImages(folder, 5);
    const features = ['features', checkpoint, 'pictures', '--engine', 'wasm', '--batch-size', '2'];
    t.is((await ijepaHere([...features, '--out', 'plain.safetensors'], folder)).code, 0);
    await writeFile(join(folder, 'pictures', '00.png'), 'no image');
    const skipping = [...features, '--tokens', '--max-unreadable', '0.5', '--out'];
    const written = await ijepaHere([...skipping, 'a.safetensors'], folder);
    t.is(written.code, 0, written.stderr);
    t.regex(written.stdout, /tokens {3}5 x 16 x 16, 5\.1 kB/);
    const { tensors, metadata } = await readSafetensors(join(folder, 'a.safetensors'));
    const { tensors: plain, metadata: facts } = await readSafetensors(join(folder, 'plain.safetensors'));
    t.is(metadata.names, facts.names);
    const [tokens, means] = [tensors.get('tokens'), tensors.get('features')];
    t.deepEqual(
      [tokens?.shape, means?.shape],
      [
        [5, 16, 16],
        [5, 16],
      ],
    );
    for (const [at, pooled] of (plain.get('features')?.data ?? []).entries()) {
      const [image, column] = [Math.floor(at / 16), at % 16];
      let mean = 0;
      for (let patch = 0; patch < 16; patch++) mean += Number(tokens?.data[(image * 16 + patch) * 16 + column]) / 16;
      t.true(Math.abs(mean - Number(pooled)) < 1e-5);
      t.true(Math.abs(mean - Number(means?.data[at])) < 1e-5);
    }
    t.is((await ijepaHere(['search', 'pictures/1.png', '--in', 'a.safetensors'], folder)).code, 0);

    t.is((await ijepaHere([...skipping, 'a.npy'], folder)).code, 0);
    const bytes = readFileSync(join(folder, 'a.tokens.npy'));
    const start = 10 + bytes.readUInt16LE(8);
    t.regex(bytes.subarray(10, start).toString('latin1'), /'shape': \(5, 16, 16\), \} *\n$/);
    t.deepEqual([...bytes.subarray(start)], [...bytesOf(tokens?.data)]);
  },
);

test.serial('mistakes have one clear message each, before anything is computed', async (t) => {
  const folder = await temporaryFolder(t);
  const checkpoint = await smallCheckpoint(t);
  await drawImages(folder, 2);
  await writeFile(join(folder, 'pictures', 'bad.png'), 'no image');
  for (const name of ['there.npy', 'b.tokens.npy']) await writeFile(join(folder, name), '');
  const cases: [string[], RegExp][] = [
    [[checkpoint, 'pictures', '--out', 'a.txt'], /--out a\.txt has no ending that tells a format/],
    [[checkpoint, 'pictures', '--out', 'there.npy'], /there\.npy exists/],
    [[checkpoint, 'pictures', '--out', 'no/a.npy'], /there is no folder no/],
    [['missing.safetensors', 'pictures', '--out', 'a.npy'], /missing\.safetensors does not exist/],
    [['pictures', 'pictures', '--out', 'a.npy'], /no checkpoint in the folder pictures/],
    [[checkpoint, 'nowhere', '--out', 'a.npy'], /nowhere does not exist/],
    [[checkpoint, 'pictures', '--split', 'test', '--out', 'a.npy'], /no parts for training and testing/],
    [[checkpoint, 'pictures', '--out', 'a.npy', '--image-size', '18'], /patches of 4/],
    [[checkpoint, 'pictures', '--out', 'a.npy', '--views', '0'], /--views cannot be 0/],
    [[checkpoint, 'pictures', '--out', 'a.npy', '--tokens', '--layers', 'last-4'], /--tokens writes .* last layer/],
    [[checkpoint, 'pictures', '--out', 'a.npy', '--tokens', '--cache', 'kept'], /--cache keeps features/],
    [[checkpoint, 'pictures', '--out', 'b.npy', '--tokens'], /b\.tokens\.npy exists/],
    [[checkpoint, 'pictures', '--out', 'a.npy', '--cache-limit', '5'], /limits nothing without a cache/],
    [[checkpoint, 'pictures', '--out', 'a.npy'], /an image cannot be read: pictures\/bad\.png/],
  ];
  for (const [args, message] of cases) {
    const { code, stderr } = await ijepaHere(['features', ...args, '--engine', 'wasm'], folder);
    t.is(code, 2, args.join(' '));
    t.regex(stderr, message);
    t.false(existsSync(join(folder, 'a.npy')));
  }
  const skipping = [
    'features',
    checkpoint,
    'pictures',
    '--out',
    'a.npy',
    '--max-unreadable',
    '0.4',
    '--engine',
    'wasm',
  ];
  const { code, stdout } = await ijepaHere(skipping, folder);
  t.is(code, 0);
  t.regex(stdout, /left out: pictures\/bad\.png/);
  t.regex(stdout, /2 rows/);
});

/** Draws pictures of plain colours into a folder named pictures. */
async function drawImages(folder: string, count: number): Promise<void> {
  await mkdir(join(folder, 'pictures'));
  for (let index = 0; index < count; index++) {
    const background = { r: 40 * index, g: 100, b: 200 - 50 * index };
    const picture = sharp({ create: { width: 30, height: 20, channels: 3, background } });
    await picture.png().toFile(join(folder, 'pictures', `${index}.png`));
  }
}

function bytesOf(data: ArrayBufferView | undefined): Uint8Array {
  if (!data) return new Uint8Array();
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}
