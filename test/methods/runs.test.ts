import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { METHODS } from '../../core/methods/registry.js';
import { runFolder } from '../../core/run/run-folder.js';
import { differences, killAndResume } from '../faults/harness.js';
import { ijepaHere, SMALLEST_OF, temporaryFolder } from '../helpers/command.js';
import { stoppedHere } from '../helpers/faults.js';

const NAMES = Object.keys(SMALLEST_OF) as (keyof typeof SMALLEST_OF)[];
/** Four steps, after each of which a checkpoint is written. */
const argumentsOf = (name: keyof typeof SMALLEST_OF) => [
  'pretrain',
  'shapes:32',
  ...SMALLEST_OF[name].slice(1),
  ...'--epochs 1 --save-every-steps 1'.split(' '),
];

test('every method of the program is tried here', (t) => {
  t.deepEqual(
    NAMES,
    METHODS.map(({ name }) => name),
  );
});

// One of a method with a state of its own beside its networks; test/run/faults.test.ts kills those of I-JEPA.
test.serial('runs of dino that are killed end in the same bytes', async (t) => {
  const report = await killAndResume(await temporaryFolder(t), { kills: 1, seed: 3, of: SMALLEST_OF.dino });
  t.deepEqual(report.faults, []);
  t.is(report.kills, 1);
});

test.serial(
  'runs of all methods that were stopped end in the same bytes; their networks and random weights stand in one table',
  async (t) => {
    const folder = await temporaryFolder(t);
    const out = join(folder, 'results');
    // The one that computes least.
    const protocol = '--protocol paper --views 0 --layers last --engine wasm'.split(' ');
    for (const name of NAMES) {
      const [whole, run] = [`${name}-whole`, name].map((own) => join(folder, own)) as [string, string];
      const trained = await ijepaHere([...argumentsOf(name), '--out', whole]);
      t.is(trained.code, 0, trained.stderr);
      const log = await readFile(runFolder(whole).table, 'utf8');
      const { title } = METHODS.find((method) => method.name === name) ?? { title: '' };
      t.regex(log.split('\n')[0] ?? '', /^epoch,step,loss,terms\.\w+,.*rates\.learningRate/);
      t.true(trained.stdout.includes(`method     ${title}: `), trained.stdout);
      const stopped = await stoppedHere([...argumentsOf(name), '--out', run], run, 1);
      t.is(stopped.code, 143, stopped.stderr);
      const resumed = await ijepaHere(['pretrain', '--resume', '--out', run]);
      t.is(resumed.code, 0, resumed.stderr);
      t.deepEqual(await differences(runFolder(run), runFolder(whole)), []);
      // Random weights of one architecture are judged once.
      const baseline = name === 'ijepa' ? [] : ['--no-baseline'];
      const judged = await ijepaHere(['probe', run, '--data', 'shapes:32', ...protocol, '--out', out, ...baseline]);
      t.is(judged.code, 0, judged.stderr);
    }
    const { stdout, code } = await ijepaHere(['tables', out]);
    t.is(code, 0);
    const rows = [...METHODS.map(({ title }) => title), 'random initialisation'];
    for (const row of rows) t.regex(stdout, new RegExp(`${row} +\\S* *ViT 16x1/4`));
  },
);
