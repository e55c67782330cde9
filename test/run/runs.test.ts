import { appendFile, cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { UserError } from '../../core/base/errors.js';
import { thisProcess } from '../../core/base/lock.js';
import { writeResults } from '../../core/eval/results.js';
import { METHODS } from '../../core/methods/registry.js';
import { findResults } from '../../core/run/results-search.js';
import { findRuns } from '../../core/run/runs.js';
import { ijepaHere, SMALLEST, temporaryFolder } from '../helpers/command.js';
import { evaluationResult } from '../helpers/evaluation.js';
import { COMMAND } from '../helpers/paths.js';

interface Listed {
  runs: {
    name: string;
    state: string;
    reason: string | null;
    step: number;
    totalSteps: number;
    loss: number;
    best: object | null;
  }[];
}

test.serial('runs are listed with how they stand, by their files alone', async (t) => {
  const folder = await temporaryFolder(t);
  const runs = join(folder, 'runs');
  const whole = join(runs, 'group', 'whole');
  t.is((await ijepaHere(['pretrain', ...SMALLEST, '--epochs', '2', '--out', whole])).code, 0);
  const variants: Record<string, (run: string) => Promise<unknown>> = {
    killed: async (run) => {
      await state(run, 'running', null);
      await lock(run, { pid: 2 ** 30 });
      await appendFile(join(run, 'log.jsonl'), '{"epoch":2,"st');
    },
    training: async (run) => {
      await state(run, 'running', null);
      await lock(run, {});
      await writeFile(join(run, 'checkpoints', 'latest.safetensors.unfinished'), 'half');
    },
    elsewhere: async (run) => lock(run, { host: 'another-machine' }),
    broken: async (run) => state(run, 'failed', 'the disk is full'),
    stopped: async (run) => state(run, 'interrupted', 'SIGTERM'),
    early: async (run) => {
      await rm(join(run, 'state.json'));
      await rm(join(run, 'log.jsonl'));
    },
    old: async (run) => rm(join(run, 'state.json')),
    damaged: async (run) => writeFile(join(run, 'config.yaml'), 'epochs: 2\n'),
  };
  for (const [name, change] of Object.entries(variants)) {
    await cp(whole, join(runs, name), { recursive: true });
    await change(join(runs, name));
  }
  await mkdir(join(runs, 'other'));
  await writeFile(join(runs, 'other', 'config.yaml'), 'of: another program\n');

  const { code, stdout, stderr } = await ijepaHere(['runs', '--json'], folder);
  t.is(code, 0, stderr);
  t.regex(stderr, /^left out: .*damaged.*config\.yaml is not a whole record/);
  const listed = (JSON.parse(stdout) as Listed).runs;
  t.deepEqual(Object.fromEntries(listed.map(({ name, state, reason }) => [name, [state, reason]])), {
    broken: ['failed', 'the disk is full'],
    early: ['interrupted', null],
    elsewhere: ['unknown', `locked by process ${process.pid} of the machine 'another-machine'`],
    [join('group', 'whole')]: ['done', null],
    killed: ['interrupted', 'killed'],
    old: ['done', null],
    stopped: ['interrupted', 'SIGTERM'],
    training: ['running', null],
  });
  for (const { name, step, totalSteps, loss } of listed) {
    t.deepEqual([step, totalSteps], [name === 'early' ? 0 : 12, 12], name);
    t.is(Number.isFinite(loss), name !== 'early', name);
  }
  const text = await ijepaHere(['runs', 'runs'], folder);
  t.regex(text.stdout, /^run +state +epoch +step/);
  t.regex(text.stdout, /^broken +failed +2\/2 +12\/12 +100% +\d\.\d{4} +– +– +[\d.]+ kB +\d{4}-\d\d-\d\d \d\d:\d\d$/m);
  t.regex(text.stdout, /^broken failed: the disk is full; saved up to step 12$/m);
  t.is(await readFile(join(runs, 'killed', 'run.lock'), 'utf8').then((lock) => JSON.parse(lock).pid), 2 ** 30);

  const nothing = await ijepaHere(['runs'], join(runs, 'other'));
  t.deepEqual([nothing.code, nothing.stdout], [0, '']);
  t.regex(nothing.stderr, /there are no runs in the current folder/);
  const wrong = await ijepaHere(['runs', 'nowhere'], folder);
  t.is(wrong.code, 2);
  t.regex(wrong.stderr, /^ijepa: nowhere does not exist/);
  await t.throwsAsync(() => findRuns(COMMAND, METHODS, () => {}), {
    instanceOf: UserError,
    message: /is not a folder/,
  });
});

async function state(run: string, is: string, reason: string | null): Promise<void> {
  const said = { format: 'ijepa-run-state-1', state: is, reason, savedStep: 12 };
  await writeFile(join(run, 'state.json'), JSON.stringify(said));
}

async function lock(run: string, owner: object): Promise<void> {
  await writeFile(join(run, 'run.lock'), JSON.stringify({ ...thisProcess('abc'), ...owner }));
}

test.serial('the best accuracy of a run is that of its own results, in its folder or elsewhere', async (t) => {
  const folder = await temporaryFolder(t);
  t.is((await ijepaHere(['pretrain', ...SMALLEST, '--epochs', '1', '--out', 'one'], folder)).code, 0);
  await cp(join(folder, 'one'), join(folder, 'two'), { recursive: true });
  const result = (top1: number, checkpoint: string, weights: 'pretrained' | 'random' = 'pretrained') =>
    evaluationResult({ top1, dataSet: 'shapes', network: { checkpoint, weights } });
  const [one, two] = ['one', 'two'].map((run) => join(folder, run, 'checkpoints', 'latest.safetensors')) as [
    string,
    string,
  ];
  await mkdir(join(folder, 'two', 'judged'));
  await mkdir(join(folder, 'elsewhere'));
  await writeResults(join(folder, 'two', 'judged', 'results.json'), [
    result(30, two),
    result(90, two, 'random'),
    result(80, one),
    result(31, 'somewhere/else.safetensors'),
  ]);
  await writeResults(join(folder, 'elsewhere', 'results.json'), [result(32, two), result(20, one)]);
  await writeFile(join(folder, 'one', 'results.json'), '[{');
  const { stdout, stderr } = await ijepaHere(['runs', '--json'], folder);
  t.regex(stderr, /left out: .*one.results\.json is not whole/);
  t.deepEqual(
    (JSON.parse(stdout) as Listed).runs.map(({ name, best }) => [name, best]),
    [
      ['one', { top1: 80, dataSet: 'shapes' }],
      ['two', { top1: 32, dataSet: 'shapes' }],
    ],
  );
  t.regex((await ijepaHere(['runs'], folder)).stdout, /^two .* 32\.0 shapes /m);
});

test('folders are searched four levels deep for files of that name', async (t) => {
  const folder = await temporaryFolder(t);
  for (const path of ['.', 'a', 'a/b/c/d', 'a/b/c/d/e', '.hidden', 'node_modules/x']) {
    await mkdir(join(folder, path), { recursive: true });
    await writeFile(join(folder, path, 'results.json'), 'damaged');
  }
  const named = join(folder, 'a', 'other.json');
  await writeFile(named, 'damaged');
  const leftOut: string[] = [];
  const find = (paths: readonly string[]) => findResults(paths, ({ message }) => leftOut.push(message));
  await t.throwsAsync(find([folder, named]), { instanceOf: UserError, message: /^.*a.other\.json is not whole/ });
  const searched = ['results.json', 'a/results.json', 'a/b/c/d/results.json'].map((name) => join(folder, name));
  t.deepEqual(
    leftOut.map((message) => message.slice(0, message.indexOf(' is not whole'))),
    searched,
  );
  await t.throwsAsync(find([join(folder, 'none')]), { instanceOf: UserError, message: /does not exist/ });
});
