import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { UserError } from '../../core/base/errors.js';
import { RandomStream } from '../../core/base/random.js';
import { checkpointMetadata, copyState, loadCheckpoint } from '../../core/checkpoint/checkpoint.js';
import {
  epochCheckpoint,
  latestCheckpoint,
  previousCheckpoint,
  recoverCheckpoint,
  type SaveJob,
  saveFiles,
} from '../../core/checkpoint/folder.js';
import { startEngine } from '../../core/engine/start.js';
import { tf } from '../../core/engine/tf.js';
import { decoderShapes, encoderShapes } from '../../core/nn/parameters.js';
import { type StateShapes, tensorsOf } from '../../core/train/state.js';
import { temporaryFolder } from '../helpers/command.js';
import { FIXTURES } from '../helpers/paths.js';
import { TINY_MODEL, tinyShapes, tinyState } from '../helpers/tiny-state.js';
import { numberOf } from '../helpers/training.js';

let SHAPES: StateShapes;
const load = (path: string) => loadCheckpoint(path, TINY_MODEL, SHAPES);

test.before(async () => {
  await startEngine('cpu');
  SHAPES = tinyShapes();
});

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
      metadata: checkpointMetadata(step, { epoch: step, data: 'shapes', model: TINY_MODEL, memory: null }),
      sync: [],
      keep: kept.includes(step) ? { epoch: step, most: 9 } : null,
      isBest: false,
      note: { path: join(folder, 'note'), content: '' },
    };
    await saveFiles(job);
  }
}

/** What recovery comes to: the step, and what was said. Every tensor is disposed of. */
async function recover(folder: string): Promise<{ step: number | null; said: string }> {
  const said: string[] = [];
  const found = await recoverCheckpoint(folder, load, (text) => said.push(text));
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

test('a checkpoint that was cut at any place is found, and the one before it used', async (t) => {
  const folder = await temporaryFolder(t);
  await save(folder, [1, 2]);
  const [whole, previous] = [await readFile(latestCheckpoint(folder)), await readFile(previousCheckpoint(folder))];
  t.is((await recover(folder)).step, 2);
  for (let percent = 0; percent < 100; percent += 3) {
    const cut = whole.subarray(0, Math.floor((whole.length * percent) / 100));
    await holdsAgainst(t, folder, cut, previous, `cut to ${percent}%`);
  }
});

test('a bit that flipped anywhere in a checkpoint, 100 times, is found, and the one before it used', async (t) => {
  const folder = await temporaryFolder(t);
  await save(folder, [1, 2]);
  const [whole, previous] = [await readFile(latestCheckpoint(folder)), await readFile(previousCheckpoint(folder))];
  const stream = new RandomStream(0, 'flips');
  const header = 8 + Number(whole.readBigUInt64LE());
  for (let flip = 0; flip < 100; flip++) {
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
  for (let bit = 0; bit < 8 * end; bit += 29) {
    const damaged = Buffer.from(whole);
    damaged.writeUInt8(damaged.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
    await replace(latest, damaged);
    await t.throwsAsync(() => load(latest), { instanceOf: UserError, message: /damaged|not a/ }, `${bit}`);
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
  const sizes = { ...TINY_MODEL.sizes, predictor: { dim: 8, depth: 1, heads: 1, mlpRatio: 4 } };
  const shapes = { ...SHAPES, networks: { ...SHAPES.networks, encoder: { 'norm.weight': [9] } } };
  const others = [
    {
      model: { ...TINY_MODEL, sizes },
      shapes: SHAPES,
      difference: /of another model: its model is \{"method":"I-JEPA"/,
    },
    { model: { ...TINY_MODEL, method: 'MAE' }, shapes: SHAPES, difference: /of another model: its model is/ },
    {
      model: TINY_MODEL,
      shapes,
      difference: /of another model: the tensor encoder\.norm\.weight is \[8\] instead of \[9\]/,
    },
    {
      model: TINY_MODEL,
      shapes: { ...SHAPES, own: { centre: [4] } },
      difference: /state\.centre is not there instead/,
    },
  ];
  for (const { model, shapes: expected, difference } of others) {
    const loadOther = (path: string) => loadCheckpoint(path, model, expected);
    await t.throwsAsync(() => recoverCheckpoint(folder, loadOther, () => {}), { message: difference });
  }
  t.deepEqual((await readdir(folder)).sort(), ['latest.safetensors', 'note', 'previous.safetensors']);
});

test('a checkpoint that was written once can be read, and refused where it is damaged', async (t) => {
  const folder = await temporaryFolder(t);
  const stored = await readFile(join(FIXTURES, 'checkpoints', 'tiny.safetensors'));
  const size = { dim: 8, depth: 1, heads: 2, mlpRatio: 2 };
  const trained = {
    encoder: encoderShapes({ encoder: size, imageSize: 8, patchSize: 4 }),
    predictor: decoderShapes(8, size, 8),
  };
  const shapes: StateShapes = {
    networks: { ...trained, target_encoder: trained.encoder },
    slots: { first: trained, second: trained },
    own: {},
  };
  const model = { ...TINY_MODEL, sizes: { encoder: size, predictor: size } };
  const recoverStored = (content: Buffer) => {
    const loadStored = (path: string) => loadCheckpoint(path, model, shapes);
    return replace(latestCheckpoint(folder), content).then(() => recoverCheckpoint(folder, loadStored, () => {}));
  };
  const found = await recoverStored(stored);
  t.is(found?.state.step, 7);
  const { networks, slots } = found?.state ?? { networks: {}, slots: {} };
  const all = [networks, ...Object.values(slots)].flatMap((own) => [...tensorsOf(own)].map(([, , tensor]) => tensor));
  t.true(Math.abs((await numberOf(tf.addN(all.map((tensor) => tensor.sum())))) - 69.9052) < 1e-3);
  tf.dispose(found?.state);

  const flipped = Buffer.from(stored);
  flipped.writeUInt8(flipped.readUInt8(stored.length - 9) ^ 1, stored.length - 9);
  await t.throwsAsync(() => recoverStored(flipped), { message: /checksum/ });
  const unnamed = Buffer.from(stored);
  unnamed.write('"sha255_file"', stored.indexOf('"sha256_file"'));
  await t.throwsAsync(() => recoverStored(unnamed), { message: /damaged/ });
});
