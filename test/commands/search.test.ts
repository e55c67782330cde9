import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import sharp from 'sharp';
import { ijepa, temporaryFolder } from '../helpers/command.js';
import { smallCheckpoint } from '../helpers/features.js';

test('a search finds pictures by name and by file, and draws them', async (t) => {
  const folder = await temporaryFolder(t);
  const checkpoint = await smallCheckpoint(t);
  await mkdir(join(folder, 'photos'));
  const colours = ['#ff0000', '#f01010', '#00ff00', '#10f010', '#0000ff'];
  for (const [at, background] of colours.entries()) {
    const picture = sharp({ create: { width: 20, height: 20, channels: 3, background } });
    await picture.png().toFile(join(folder, 'photos', `${at}.png`));
  }
  const green = sharp({ create: { width: 30, height: 20, channels: 3, background: '#08f808' } });
  await green.png().toFile(join(folder, 'green.png'));
  const written = await ijepa(['features', checkpoint, 'photos', '--out', 'f.safetensors', '--engine', 'wasm'], folder);
  t.is(written.code, 0, written.stderr);
  const search = (...words: string[]) => ijepa(['search', ...words, '--in', 'f.safetensors'], folder);
  const found = await search(
    'photos/0.png',
    'green.png',
    '--top',
    '2',
    '--out',
    'sheet.png',
    '--json',
    '--engine',
    'wasm',
  );
  t.is(found.code, 0, found.stderr);
  const { results, rows } = JSON.parse(found.stdout);
  t.is(rows, 5);
  t.is(results[0].nearest[0].name, 'photos/1.png');
  t.deepEqual(results[1].nearest.map(({ name }: { name: string }) => name).sort(), ['photos/2.png', 'photos/3.png']);
  const sheet = await sharp(join(folder, 'sheet.png')).raw().toBuffer({ resolveWithObject: true });
  const colourAt = (x: number, y: number) => [
    ...sheet.data.subarray((y * sheet.info.width + x) * 3, (y * sheet.info.width + x) * 3 + 3),
  ];
  t.deepEqual(colourAt(80, 100), [255, 0, 0]);
  t.deepEqual(colourAt(280, 100), [240, 16, 16]);

  const cases: [words: string[], message: RegExp][] = [
    [['nothing.png'], /nothing\.png is neither the file of a picture nor a name in f\.safetensors/],
    [['photos'], /name the pictures in it/],
    [['photos/0.png', '--out', 'sheet.png'], /sheet\.png exists/],
    [['green.png', '--checkpoint', await smallCheckpoint(t, undefined, 1)], /was not computed by the encoder/],
  ];
  for (const [words, message] of cases) {
    const { code, stderr } = await search(...words, '--engine', 'wasm');
    t.is(code, 2, words.join(' '));
    t.regex(stderr, message);
  }
  const other = await ijepa(['search', 'green.png', '--in', checkpoint], folder);
  t.is(other.code, 2);
  t.regex(other.stderr, /is not a file of features/);
});
