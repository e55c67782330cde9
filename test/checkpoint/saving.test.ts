import { existsSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { UserError } from '../../core/base/errors.js';
import { latestCheckpoint, previousCheckpoint } from '../../core/checkpoint/folder.js';
import { readSafetensors } from '../../core/checkpoint/safetensors.js';
import { startEngine } from '../../core/engine/start.js';
import { type RunFolder, readRunState, runFolder } from '../../core/run/run-folder.js';
import { CheckpointSaving } from '../../core/run/saving.js';
import type { TrainState } from '../../core/train/state.js';
import { temporaryFolder } from '../helpers/command.js';
import { TINY_MODEL, tinyState } from '../helpers/tiny-state.js';

const WHEN = {
  initFrom: null,
  data: ['shapes:4', 'more'],
  saveEverySteps: null as number | null,
  saveEveryMinutes: 1000,
  saveEveryEpochs: 2,
  keepCheckpoints: 3,
  epochs: 9,
};
const EPOCH = 10;

test.before(() => startEngine('cpu'));

async function emptyRun(t: ExecutionContext): Promise<RunFolder> {
  const folder = runFolder(await temporaryFolder(t));
  await mkdir(folder.checkpoints);
  for (const log of [folder.log, folder.table]) await writeFile(log, '');
  return folder;
}

/** Who writes states, by the bytes from which on it is a thread. */
const WRITERS = { 'a thread': 0, 'the program itself': Number.POSITIVE_INFINITY };

/** What saves a run, and its state at a step. Everything ends with the test. */
function startSaving(t: ExecutionContext, folder: RunFolder, when: Partial<typeof WHEN> = {}, threadBytes = 0) {
  const saving = new CheckpointSaving(folder, TINY_MODEL, { ...WHEN, ...when }, EPOCH, 0, threadBytes);
  const state = tinyState();
  t.teardown(() => saving.close());
  const at = (step: number): TrainState => ({ ...state, step });
  const afterStep = async (step: number) => {
    if (saving.isDueAfter(step)) await saving.save(at(step), null, undefined);
  };
  return { saving, at, afterStep };
}

const stepOf = async (path: string) => Number((await readSafetensors(path)).metadata.step);

test('a run is saved after every epoch, and the two newest checkpoints are kept', async (t) => {
  const folder = await emptyRun(t);
  const { saving, afterStep } = startSaving(t, folder);
  for (let step = 1; step <= 25; step++) await afterStep(step);
  await saving.close();
  t.is(await stepOf(latestCheckpoint(folder.checkpoints)), 20);
  t.is(await stepOf(previousCheckpoint(folder.checkpoints)), 10);
  t.is(await stepOf(join(folder.checkpoints, 'epoch-0002.safetensors')), 20);
  t.false(existsSync(join(folder.checkpoints, 'epoch-0001.safetensors')));
});

test('a run is saved every few steps where that is asked for', async (t) => {
  const folder = await emptyRun(t);
  const { saving, afterStep } = startSaving(t, folder, { saveEverySteps: 4 });
  for (let step = 1; step <= 9; step++) {
    await afterStep(step);
    await saving.settle();
  }
  t.is(await stepOf(latestCheckpoint(folder.checkpoints)), 8);
  t.is(await stepOf(previousCheckpoint(folder.checkpoints)), 4);
});

test('a run is saved when the time is over', async (t) => {
  const folder = await emptyRun(t);
  const { saving, afterStep } = startSaving(t, folder, { saveEveryMinutes: 1e-9 });
  for (const step of [1, 2, 3]) {
    await afterStep(step);
    await saving.settle();
    t.is((await readRunState(folder.state))?.savedStep, step);
  }
  t.is(await stepOf(latestCheckpoint(folder.checkpoints)), 3);
});

test('a save that falls due while one is written is taken as soon as that is done', async (t) => {
  const folder = await emptyRun(t);
  const { saving, afterStep } = startSaving(t, folder, { saveEverySteps: 2 });
  for (const step of [2, 3, 4, 5]) await afterStep(step); // the thread that writes has not even started
  await saving.settle();
  t.is(await stepOf(latestCheckpoint(folder.checkpoints)), 2);
  await afterStep(7);
  await saving.settle();
  t.is(await stepOf(latestCheckpoint(folder.checkpoints)), 7);
  t.is(await stepOf(previousCheckpoint(folder.checkpoints)), 2);
});

test('a run that ends in the middle of an epoch is saved there', async (t) => {
  const folder = await emptyRun(t);
  const { saving, at, afterStep } = startSaving(t, folder);
  await afterStep(3);
  t.false(existsSync(latestCheckpoint(folder.checkpoints)));
  await saving.save(at(3), null, undefined);
  await saving.settle();
  t.is(await stepOf(latestCheckpoint(folder.checkpoints)), 3);
});

for (const [writer, threadBytes] of Object.entries(WRITERS)) {
  test(`a checkpoint holds the state of its step, whatever becomes of the state while ${writer} writes it`, async (t) => {
    const folder = await emptyRun(t);
    const { saving, at, afterStep } = startSaving(t, folder, { saveEverySteps: 1 }, threadBytes);
    const memory = (await at(1).networks.encoder?.['norm.weight']?.data()) as Float32Array;
    const expected = Float32Array.from(memory);
    await afterStep(1);
    memory.fill(99); // as engines do that update in place
    await saving.close();
    const { tensors, metadata } = await readSafetensors(latestCheckpoint(folder.checkpoints));
    t.like(metadata, {
      step: '1',
      epoch: '1',
      data: 'shapes:4, more',
      model: JSON.stringify(TINY_MODEL),
      memory: 'null',
    });
    t.deepEqual(tensors.get('encoder.norm.weight')?.data, expected);
  });

  test(`a write in the background that failed ends training at the next step, with one message: ${writer}`, async (t) => {
    const folder = await emptyRun(t);
    const { saving, afterStep } = startSaving(t, folder, { saveEverySteps: 1 }, threadBytes);
    await afterStep(1);
    await saving.settle();
    const good = await readFile(latestCheckpoint(folder.checkpoints));
    await rm(folder.table);
    const goOn = async () => {
      for (let step = 2; ; step++) {
        await afterStep(step);
        await setTimeout(5);
      }
    };
    await t.throwsAsync(goOn, { instanceOf: UserError, message: /log\.csv does not exist/ });
    t.deepEqual(await readFile(latestCheckpoint(folder.checkpoints)), good, 'what was saved stays');
  });
}
