import { cp, mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { epochCheckpoint, latestCheckpoint } from '../../core/checkpoint/folder.js';
import { loadNetwork } from '../../core/eval/network.js';
import { METHODS } from '../../core/methods/registry.js';
import { type RunFolder, runFolder } from '../../core/run/run-folder.js';
import { differences } from '../faults/differences.js';
import { ijepaHere, SMALLEST_OF } from '../helpers/command.js';

const NAMES = Object.keys(SMALLEST_OF) as (keyof typeof SMALLEST_OF)[];
const folder = await mkdtemp(join(tmpdir(), 'ijepa-test-'));
test.after.always(() => rm(folder, { recursive: true, force: true }));

/** Two epochs of one step, each kept in a checkpoint of its own. */
const argumentsOf = (name: keyof typeof SMALLEST_OF) => [
  'pretrain',
  'shapes:8',
  ...SMALLEST_OF[name].slice(1),
  ...'--epochs 2 --save-every-epochs 1'.split(' '),
];
/** Of each kind of method one: with masks, with crops, and with a class token. */
const JUDGED: readonly (keyof typeof SMALLEST_OF)[] = ['ijepa', 'mae', 'dino'];

test('every method of the program is tried here', (t) => {
  t.deepEqual(
    NAMES,
    METHODS.map(({ name }) => name),
  );
});

test.serial('runs of all methods that go on from their first epoch end in the same bytes', async (t) => {
  for (const name of NAMES) {
    const [whole, run] = [`${name}-whole`, name].map((own) => runFolder(join(folder, own))) as [RunFolder, RunFolder];
    const trained = await ijepaHere([...argumentsOf(name), '--out', whole.path]);
    t.is(trained.code, 0, trained.stderr);
    const log = await readFile(whole.table, 'utf8');
    const { title } = METHODS.find((method) => method.name === name) ?? { title: '' };
    t.regex(log.split('\n')[0] ?? '', /^epoch,step,loss,terms\.\w+,.*rates\.learningRate/);
    t.true(trained.stdout.includes(`method     ${title}: `), trained.stdout);

    // As if it had been killed before it saved again.
    await cp(whole.path, run.path, { recursive: true });
    await rename(epochCheckpoint(run.checkpoints, 1), latestCheckpoint(run.checkpoints));
    const resumed = await ijepaHere(['pretrain', '--resume', '--out', run.path]);
    t.is(resumed.code, 0, resumed.stderr);
    t.regex(resumed.stdout, /going on after step 1/);
    t.deepEqual(await differences(run, whole), []);
    const network = await loadNetwork(run.path);
    t.is(network.facts.method, title);
    t.is(network.arch, 'ViT 16x1/4');
    network.dispose();
  }
});

test.serial('networks of methods and random weights stand in one table', async (t) => {
  const out = join(folder, 'results');
  // The one that computes least.
  const protocol = '--protocol paper --views 0 --layers last --engine wasm'.split(' ');
  for (const name of JUDGED) {
    // Random weights of one architecture are judged once.
    const baseline = name === 'ijepa' ? [] : ['--no-baseline'];
    const run = join(folder, name);
    const judged = await ijepaHere(['probe', run, '--data', 'shapes:16', ...protocol, '--out', out, ...baseline]);
    t.is(judged.code, 0, judged.stderr);
  }
  const { stdout, code } = await ijepaHere(['tables', out]);
  t.is(code, 0);
  const rows = METHODS.filter(({ name }) => JUDGED.some((judged) => judged === name)).map(({ title }) => title);
  for (const row of [...rows, 'random initialisation']) t.regex(stdout, new RegExp(`${row} +\\S* *ViT 16x1/4`));
});
