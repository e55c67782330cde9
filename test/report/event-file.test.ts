import { readdirSync, readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { UserError } from '../../core/base/errors.js';
import { headRecords, isEventFile, openEventFile, valuesRecord } from '../../core/report/event-file.js';
import { temporaryFolder } from '../helpers/command.js';
import { readEvents, shownValues } from '../helpers/event-files.js';
import { canMount, mountSmall } from '../helpers/faults.js';
import { FIXTURES } from '../helpers/paths.js';

const GOLDEN = readFileSync(join(FIXTURES, 'tensorboard', 'golden.tfevents'));

test("records are byte for byte those of TensorBoard's own writer", (t) => {
  const [, , pictured] = readEvents(GOLDEN);
  const png = pictured?.values[1]?.image?.png as Buffer;
  t.is(png.toString('latin1', 1, 4), 'PNG');
  const numbers = {
    loss: 0.5,
    'rates/learningRate': 0.001,
    'rates/zero': 0,
    'features/none': Number.NaN,
    'method/low': -3e9,
  };
  const written = [
    ...headRecords(1700000000.25, 7),
    valuesRecord(1700000001.5, 7, { config: { text: '    epochs: 3\n    größe: 4\n' }, masks: { png } }),
    valuesRecord(1700000002, 3_000_000_000, numbers),
  ];
  t.deepEqual(Buffer.concat(written), GOLDEN);
});

test('values are in the file at once, and a file that was cut anywhere keeps what is before', async (t) => {
  const folder = join(await temporaryFolder(t), 'deep', 'tensorboard');
  const file = await openEventFile(folder, 1);
  const sizes = [readFileSync(file.path).length];
  for (let step = 1; step <= 3; step++) {
    file.add(step, { loss: 1 / step });
    sizes.push(readFileSync(file.path).length);
  }
  file.close();
  const bytes = readFileSync(file.path);
  for (let length = sizes[0] as number; length <= bytes.length; length++) {
    const steps = readEvents(bytes.subarray(0, length)).flatMap(({ step, values }) => (values.length > 0 ? step : []));
    t.deepEqual(steps, [1, 2, 3].slice(0, sizes.filter((size) => size <= length).length - 1), `${length}`);
  }
});

test('a later file comes after all others whatever the clock says, and what is done again is there once', async (t) => {
  const folder = await temporaryFolder(t);
  const ahead = 'events.out.tfevents.9000000000.elsewhere.1.0';
  await writeFile(join(folder, ahead), GOLDEN.subarray(0, -1));
  await writeFile(join(folder, 'notes.txt'), 'mine');
  for (const first of [1, 3, 4]) {
    const file = await openEventFile(folder, first);
    for (let step = first; step < first + 3; step++) file.add(step, { loss: 10 * first + step });
    file.close();
  }
  const names = readdirSync(folder).filter(isEventFile);
  t.is(names.length, 4);
  t.is(names[0], ahead);
  const loss = [...(shownValues(folder).get('loss') ?? [])].map(([step, { simpleValue }]) => [step, simpleValue]);
  t.deepEqual(loss, [
    [1, 11],
    [2, 12],
    [3, 33],
    [4, 44],
    [5, 45],
    [6, 46],
  ]);
});

test('a folder that cannot be written is said in a message', async (t) => {
  const folder = await temporaryFolder(t);
  await writeFile(join(folder, 'file'), '');
  await t.throwsAsync(openEventFile(join(folder, 'file'), 1), { instanceOf: UserError });
  await mkdir(join(folder, 'full'));
  const file = await openEventFile(join(folder, 'full'), 1);
  file.close();
  t.throws(() => file.add(1, { loss: 1 }), { instanceOf: UserError, message: /tfevents/ });
});

(canMount() ? test : test.skip)('on a full disk no half of a record stays (needs the right to mount)', async (t) => {
  const folder = await temporaryFolder(t);
  const disk = mountSmall(folder, 32);
  t.teardown(() => disk?.remove());
  const file = await openEventFile(folder, 1);
  file.add(1, { loss: 1 });
  const large = { config: { text: 'x'.repeat(100_000) } };
  t.throws(() => file.add(2, large), { instanceOf: UserError, message: /tfevents.*the disk is full/ });
  disk?.grow(256);
  file.add(2, large);
  file.close();
  const tags = readEvents(readFileSync(file.path)).flatMap(({ values }) => values.map(({ tag }) => tag));
  t.deepEqual(tags, ['loss', 'config']);
});
