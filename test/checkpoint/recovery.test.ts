import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { UserError } from '../../core/base/errors.js';
import { RandomStream } from '../../core/base/random.js';
import { checkpointMetadata, copyState, loadCheckpoint } from '../../core/checkpoint/checkpoint.js';
import { epochCheckpoint, latestCheckpoint, previousCheckpoint } from '../../core/checkpoint/names.js';
import { recoverCheckpoint } from '../../core/checkpoint/recover.js';
import { type SaveJob, saveFiles } from '../../core/checkpoint/save.js';
import { startEngine } from '../../core/engine/start.js';
import { tf } from '../../core/engine/tf.js';
import { temporaryFolder } from '../helpers/command.js';
import { FIXTURES } from '../helpers/paths.js';
import { TINY, tinyState } from '../helpers/tiny-state.js';

test.before(() => startEngine('cpu'));

/** Saves checkpoints of these steps, one after the other; those of `kept` steps under that number, as epochs, too. */
async function save(folder: string, steps: readonly number[], kept: readonly number[] = []): Promise<void> {
  await mkdir(folder, { recursive: true });
  const state = tinyState();
  const tensors = await copyState(state, null);
  tf.dispose(state);
  for (const step of steps) {
    const job: SaveJob = {
      folder,
      tensors,
      metadata: checkpointMetadata(step, { epoch: step, model: TINY, watch: null }),
      sync: [],
      keep: kept.includes(step) ? { epoch: step, most: 9 } : null,
      note: { path: join(folder, 'note'), content: '' },
    };
    await saveFiles(job);
  }
}

/** What recovery comes to: the step, and what was said. Every tensor is disposed of. */
async function recover(folder: string): Promise<{ step: number | null; said: string }> {
  const said: string[] = [];
  const found = await recoverCheckpoint(folder, TINY, (text) => said.push(text));
  tf.dispose(found?.state);
  return { step: found ? found.state.step : null, said: said.join('\n') };
}

/** Replaces a file; never writes into it, because it may have other names. */
async function replace(path: string, content: Uint8Array | string): Promise<void> {
  await rm(path, { force: true });
  await writeFile(path, content);
}

/** Holds that a damaged newest checkpoint is set aside, the one before it taken, and nothing lost. */
async function holdsAgainst(t: ExecutionContext, folder: string, damaged: Buffer, previous: Buffer, what: string) {
  const [latest, aside] = [latestCheckpoint(folder), join(folder, 'latest.damaged-1.safetensors')];
  await replace(latest, damaged);
  t.is((await recover(folder)).step, 1, what);
  t.true((await readFile(aside)).equals(damaged), `${what}: set aside as it was`);
  t.true((await readFile(latest)).equals(previous), what);
  t.true((await readFile(previousCheckpoint(folder))).equals(previous), what);
  await rm(aside);
}

test('a checkpoint that was cut at any percent of its length is found, and the one before it used', async (t) => {
  const folder = await temporaryFolder(t);
  await save(folder, [1, 2]);
  const [whole, previous] = [await readFile(latestCheckpoint(folder)), await readFile(previousCheckpoint(folder))];
  t.is((await recover(folder)).step, 2);
  for (let percent = 0; percent < 100; percent++) {
    const cut = whole.subarray(0, Math.floor((whole.length * percent) / 100));
    await holdsAgainst(t, folder, cut, previous, `cut to ${percent}%`);
  }
});

test('a bit that flipped anywhere in a checkpoint, 1,000 times, is found, and the one before it used', async (t) => {
  const folder = await temporaryFolder(t);
  await save(folder, [1, 2]);
  const [whole, previous] = [await readFile(latestCheckpoint(folder)), await readFile(previousCheckpoint(folder))];
  const stream = new RandomStream(0, 'flips');
  const header = 8 + Number(whole.readBigUInt64LE());
  for (let flip = 0; flip < 1000; flip++) {
    // A quarter in the header, which is a small part of a real checkpoint.
    const bit = stream.integer(0, 8 * (flip % 4 === 0 ? header : whole.length) - 1);
    const damaged = Buffer.from(whole);
    damaged.writeUInt8(damaged.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
    await holdsAgainst(t, folder, damaged, previous, `bit ${bit}`);
  }
});

test('all metadata is under the checksum', async (t) => {
  const folder = await temporaryFolder(t);
  await save(folder, [1]);
  const latest = latestCheckpoint(folder);
  const whole = await readFile(latest);
  const end = 8 + whole.indexOf('"encoder.'); // all metadata, and the beginning of the tensors' entries
  for (let bit = 0; bit < 8 * end; bit += 5) {
    const damaged = Buffer.from(whole);
    damaged.writeUInt8(damaged.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
    await replace(latest, damaged);
    await t.throwsAsync(
      () => loadCheckpoint(latest, TINY),
      { instanceOf: UserError, message: /damaged|not a/ },
      `${bit}`,
    );
  }
});

test('where several are damaged, the newest whole one is taken, and the next save keeps it', async (t) => {
  const folder = await temporaryFolder(t);
  await save(folder, [1, 2, 3, 4, 5], [1, 2, 3]);
  const third = await readFile(epochCheckpoint(folder, 3));
  for (const path of [latestCheckpoint(folder), previousCheckpoint(folder)]) await replace(path, 'rubbish');
  const { step, said } = await recover(folder);
  t.is(step, 3);
  t.regex(said, /latest\.safetensors is damaged[\s\S]*latest\.damaged-1[\s\S]*previous\.safetensors is damaged/);
  t.regex(said, /goes on from epoch-0003\.safetensors, step 3/);
  t.false(existsSync(previousCheckpoint(folder)));
  await save(folder, [4]);
  t.true((await readFile(previousCheckpoint(folder))).equals(third), 'the one that was taken is the one before');
  t.is((await recover(folder)).step, 4);
  t.false((await readdir(folder)).some((name) => name.endsWith('.unfinished')));

  await replace(latestCheckpoint(folder), 'rubbish again');
  t.is((await recover(folder)).step, 3);
  t.deepEqual(
    (await readdir(folder)).filter((name) => name.includes('damaged')),
    ['latest.damaged-1.safetensors', 'latest.damaged-2.safetensors', 'previous.damaged-1.safetensors'],
  );
});

test('where none is whole nothing is touched', async (t) => {
  const folder = await temporaryFolder(t);
  await save(folder, [1, 2], [1]);
  const names = (await readdir(folder)).sort();
  for (const name of names) await replace(join(folder, name), name);
  await t.throwsAsync(() => recover(folder), {
    instanceOf: UserError,
    message: /latest[\s\S]*previous[\s\S]*epoch-0001/,
  });
  t.deepEqual((await readdir(folder)).sort(), names);
  for (const name of names) t.is(await readFile(join(folder, name), 'utf8'), name);
  const empty = await temporaryFolder(t);
  t.is((await recover(empty)).step, null);
});

test('a whole checkpoint of another model is not damaged: it is refused, not set aside', async (t) => {
  const folder = await temporaryFolder(t);
  await save(folder, [1, 2]);
  const other = { ...TINY, encoder: { ...TINY.encoder, heads: 1 } };
  await t.throwsAsync(() => recoverCheckpoint(folder, other, () => {}), { message: /of another model/ });
  t.deepEqual((await readdir(folder)).sort(), ['latest.safetensors', 'note', 'previous.safetensors']);
});

test('a checkpoint of the first format, whose checksum is over its tensors alone, can be read', async (t) => {
  const folder = await temporaryFolder(t);
  const old = await readFile(join(FIXTURES, 'checkpoints', 'first-format.safetensors'));
  await writeFile(latestCheckpoint(folder), old);
  t.is((await recover(folder)).step, 7);
  const damaged = Buffer.from(old);
  damaged.writeUInt8(damaged.readUInt8(old.length - 9) ^ 1, old.length - 9);
  await replace(latestCheckpoint(folder), damaged);
  await t.throwsAsync(() => recover(folder), { message: /checksum/ });
  const unnamed = Buffer.from(old);
  unnamed.write('"sha255"', old.indexOf('"sha256"'));
  await replace(latestCheckpoint(folder), unnamed);
  await t.throwsAsync(() => recover(folder), { message: /damaged/ });
});
