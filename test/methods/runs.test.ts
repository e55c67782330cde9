import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { METHODS } from '../../core/methods/registry.js';
import { killAndResume } from '../faults/harness.js';
import { ijepaHere, SMALLEST_OF, temporaryFolder } from '../helpers/command.js';

const NAMES = Object.keys(SMALLEST_OF) as (keyof typeof SMALLEST_OF)[];

test('every method of the program is tried here', (t) => {
  t.deepEqual(
    NAMES,
    METHODS.map(({ name }) => name),
  );
});

for (const name of ['data2vec', 'lejepa', 'dino'] as const) {
  test.serial(`runs of ${name} that are killed end in the same bytes`, async (t) => {
    const report = await killAndResume(await temporaryFolder(t), { kills: 1, seed: 3, of: SMALLEST_OF[name] });
    t.deepEqual(report.faults, []);
    t.is(report.kills, 1);
  });
}

test.serial('networks of all methods and of random weights stand in one table', async (t) => {
  const folder = await temporaryFolder(t);
  const out = join(folder, 'results');
  // The one that computes least.
  const protocol = ['--protocol', 'paper', '--views', '0', '--engine', 'wasm', '--out', out];
  for (const name of NAMES) {
    const run = join(folder, name);
    const trained = await ijepaHere(['pretrain', ...SMALLEST_OF[name], '--epochs', '1', '--out', run]);
    t.is(trained.code, 0, trained.stderr);
    const log = await readFile(join(run, 'log.csv'), 'utf8');
    const { title } = METHODS.find((method) => method.name === name) ?? { title: '' };
    t.regex(log.split('\n')[0] ?? '', /^epoch,step,loss,terms\.\w+,.*rates\.learningRate/);
    t.true(trained.stdout.includes(`method     ${title}: `), trained.stdout);
    // Random weights of one architecture are judged once.
    const baseline = name === 'ijepa' ? [] : ['--no-baseline'];
    const judged = await ijepaHere(['probe', run, '--data', 'shapes:32', ...protocol, ...baseline]);
    t.is(judged.code, 0, judged.stderr);
  }
  const { stdout, code } = await ijepaHere(['tables', out]);
  t.is(code, 0);
  const rows = [...METHODS.map(({ title }) => title), 'random initialisation'];
  for (const row of rows) t.regex(stdout, new RegExp(`${row} +\\S* *ViT 16x1/4`));
});
