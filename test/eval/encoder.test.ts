import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import sharp from 'sharp';
import { loadEncoder } from '../../core/eval/encoder.js';
import { extractFeatures, UserError } from '../../core/index.js';
import { ijepaHere, temporaryFolder } from '../helpers/command.js';
import { relativeDifference } from '../helpers/engines.js';
import { smallCheckpoint } from '../helpers/features.js';

test.serial('the library gives the features that the command writes', async (t) => {
  const checkpoint = await smallCheckpoint(t);
  const folder = await temporaryFolder(t);
  for (const [layers, width] of [['last', 16] as const, ['last-4', 64] as const]) {
    const encoder = await loadEncoder(checkpoint, { engine: 'wasm' });
    const { rows, names, labels, classes } = await extractFeatures(encoder, 'shapes:20', { layers, batchSize: 7 });
    const out = join(folder, `${layers}.npy`);
    const args = ['features', checkpoint, 'shapes:20', '--layers', layers, '--engine', 'wasm', '--batch-size', '7'];
    t.is((await ijepaHere([...args, '--out', out])).code, 0);
    const bytes = await readFile(out);
    const written = new Float32Array(bytes.buffer.slice(bytes.length - 20 * width * 4));
    t.deepEqual(Float32Array.from(rows.flatMap((row) => [...row])), written);
    t.is(names[3], 'shapes/3');
    t.is(labels?.length, 20);
    t.is(classes?.length, 8);
    encoder.dispose();
  }
});

test.serial('images come by path, as bytes or as a folder, in their order, on one engine after another', async (t) => {
  const folder = await temporaryFolder(t);
  const paths = await Promise.all(
    ['b', 'a'].map(async (name, at) => {
      const path = join(folder, `${name}.png`);
      const create = { width: 30, height: 20, channels: 3, background: { r: 200 * at, g: 100, b: 50 } } as const;
      await sharp({ create }).png().toFile(path);
      return path;
    }),
  );
  const checkpoint = await smallCheckpoint(t);
  const [first, second] = [
    await loadEncoder(checkpoint, { engine: 'wasm' }),
    await loadEncoder(checkpoint, { engine: 'cpu' }),
  ];
  const byPath = await extractFeatures(first, paths);
  const byBytes = await extractFeatures(second, await Promise.all(paths.map((path) => readFile(path))));
  const byFolder = await extractFeatures(first, folder);
  t.deepEqual(byPath.names, paths);
  t.deepEqual(byBytes.names, ['image 0', 'image 1']);
  t.deepEqual(byFolder.names, paths.toReversed());
  t.deepEqual([byPath.labels, byPath.classes], [null, null]);
  t.deepEqual(byFolder.rows, byPath.rows.toReversed());
  for (const [at, row] of byPath.rows.entries()) t.true(relativeDifference(byBytes.rows[at] ?? [], row) < 1e-5);
  first.dispose();
  second.dispose();
});

test.serial('what cannot be read is an error, or is left out where that is allowed', async (t) => {
  const path = join(await temporaryFolder(t), 'no-image.png');
  await writeFile(path, 'text');
  const good = await sharp({ create: { width: 9, height: 9, channels: 3, background: 'red' } })
    .png()
    .toBuffer();
  const encoder = await loadEncoder(await smallCheckpoint(t), { engine: 'wasm', encoder: 'context', imageSize: 32 });
  t.is(encoder.imageSize, 32);
  await t.throwsAsync(extractFeatures(encoder, [path, good]), { instanceOf: UserError, message: /no-image\.png/ });
  const { names, rows, unreadable } = await extractFeatures(encoder, [path, good], { maxUnreadable: 0.5 });
  t.deepEqual([names, rows.length, unreadable.map(({ name }) => name)], [['image 1'], 1, [path]]);
  t.deepEqual((await extractFeatures(encoder, [])).rows, []);
  encoder.dispose();
  await t.throwsAsync(loadEncoder(path), { instanceOf: UserError, message: /not a safetensors file/ });
});
