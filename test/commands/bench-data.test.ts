import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { ijepaHere, temporaryFolder } from '../helpers/command.js';
import { softJpeg } from '../helpers/pictures.js';

test.serial('bench --data times the loader alone and says so in one JSON document', async (t) => {
  const folder = await temporaryFolder(t);
  for (let seed = 0; seed < 4; seed++) await writeFile(join(folder, `${seed}.jpg`), await softJpeg(40, 30, seed));
  const size = ['--batch-size', '2', '--image-size', '16', '--batches', '5', '--threads', '1'];
  const { code, stdout, stderr } = await ijepaHere(['bench', '--data', folder, ...size, '--json']);
  t.is(code, 0, stderr);
  const result = JSON.parse(stdout);
  const facts = {
    loader: 'ijepa',
    threads: 1,
    images: 4,
    imageSize: 16,
    batchSize: 2,
    batches: 5,
    unreadableImages: 0,
  };
  t.like(result, facts);
  for (const measured of ['imagesPerSecond', 'medianImagesPerSecond', 'cpuSecondsPerImage', 'peakMemoryMiB']) {
    t.true(result[measured] > 0, measured);
  }
});

test.serial('what makes no sense is refused with what to do', async (t) => {
  const folder = await temporaryFolder(t);
  await writeFile(join(folder, '1.jpg'), await softJpeg(40, 30, 1));
  for (const [args, message] of [
    [['--batches', '5'], /--batches needs --data/],
    [['--data', folder, '--steps', '3'], /--steps is about the training step/],
    [['--data', folder, '--batches', '0'], /--batches cannot be 0/],
    [['--data', folder, '--batch-size', 'many'], /--batch-size cannot be "many"/],
    [['--data', folder], /a batch of 64 images is more than the 1 in/],
    [['--data', join(folder, 'nowhere')], /nowhere does not exist/],
  ] as const) {
    const { code, stderr } = await ijepaHere(['bench', ...args]);
    t.is(code, 2);
    t.regex(stderr, message);
  }
});
