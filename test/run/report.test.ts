import { createHash } from 'node:crypto';
import { appendFile, cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import test from 'ava';
import { writeResults } from '../../core/eval/results.js';
import { METHODS } from '../../core/methods/registry.js';
import { bytesOf, signedBytesOf } from '../../core/report/page/tokens.js';
import { reportPage } from '../../core/report/page.js';
import { LogColumns, thinned } from '../../core/run/log-columns.js';
import { openRuns, reportFacts } from '../../core/run/report-facts.js';
import { runFolder } from '../../core/run/run-folder.js';
import { readRunLog } from '../../core/run/run-log.js';
import { ijepaHere, SMALLEST, temporaryFolder } from '../helpers/command.js';
import { evaluationResult } from '../helpers/evaluation.js';
import { logRow } from '../helpers/log-row.js';
import { factsIn } from '../helpers/report.js';

const line = (step: number, loss = 1) => `${JSON.stringify(logRow(step, { loss }))}\n`;

test.serial('a report holds what the run logged, measured and makes of its images', async (t) => {
  const folder = await temporaryFolder(t);
  const run = join(folder, 'run');
  t.is((await ijepaHere(['pretrain', ...SMALLEST, '--epochs', '2', '--out', run])).code, 0);
  const confusion = {
    classes: ['circle', 'square', 'none'],
    counts: [
      [7, 3, 0],
      [1, 9, 0],
      [0, 0, 0],
    ],
  };
  const checkpoint = join(run, 'checkpoints', 'latest.safetensors');
  const elsewhere = join(folder, 'other', 'checkpoints', 'latest.safetensors');
  await mkdir(dirname(elsewhere), { recursive: true });
  await cp(checkpoint, elsewhere);
  const measured = { dataSet: 'shapes', compute: { deviceHours: 0.5, trainingFlops: 1e12 } };
  await writeResults(join(run, 'results.json'), [
    evaluationResult({ ...measured, confusion, network: { checkpoint } }),
    evaluationResult({ ...measured, network: { weights: 'random' } }),
    evaluationResult({ ...measured, network: { checkpoint: elsewhere } }),
  ]);
  const asked = ['report', 'run', '--out', 'page.html', '--pictures', '5', '--engine', 'wasm', '--json'];
  const { code, stdout, stderr } = await ijepaHere(asked, folder);
  t.is(code, 0, stderr);
  const page = await readFile(join(folder, 'page.html'), 'utf8');
  t.like(JSON.parse(stdout), { out: 'page.html', bytes: Buffer.byteLength(page), evaluations: 1 });
  const facts = factsIn(page);
  const [shown] = facts.runs;
  t.is(shown.name, 'run');
  t.like(shown.standing, { state: 'done', step: 12, totalSteps: 12, epoch: 2, epochs: 2 });
  t.is(shown.standing?.verdicts[0].monitor, 'collapse');
  const logged = readRunLog(runFolder(run));
  const valuesOf = (name: string) => shown.curves.find((curve) => curve.name === name)?.values;
  const rounded = (value: number) => Number(value.toPrecision(6));
  t.deepEqual(
    valuesOf('loss'),
    logged.map(({ loss }) => rounded(loss)),
  );
  t.deepEqual(
    valuesOf('rates/learningRate'),
    logged.map(({ rates }) => rounded(rates.learningRate)),
  );
  t.is(valuesOf('features/rank')?.length, 3, 'only the steps at which features were observed');
  t.is(shown.options.find(({ name }) => name === '--batch-size')?.value, '8');
  t.regex(shown.masks ?? '', /^data:image\/png;base64,/);

  const { pictures = [], patches = null } = shown.pictures ?? {};
  if (!patches) return t.fail(shown.picturesNote ?? 'no pictures');
  const count = patches.grid ** 2;
  t.deepEqual([patches.grid, patches.dimensions, pictures.length], [4, 16, 5]);
  t.true(Math.abs(patches.kept - 1) < 1e-3, 'as many components as there are dimensions keep all');
  const tokens = signedBytesOf(patches.tokens);
  t.is(tokens.length, 5 * count * 16);
  for (let start = 0; start < tokens.length; start += 16) {
    t.is(Math.max(...tokens.subarray(start, start + 16).map(Math.abs)), 127);
  }
  t.is(bytesOf(patches.colours).length, 5 * count * 3);
  t.is(patches.attention, null, 'of an encoder of one block');
  for (const [at, { nearest }] of pictures.entries()) {
    t.deepEqual(
      nearest.map(({ picture }) => picture).sort(),
      [0, 1, 2, 3, 4].filter((other) => other !== at),
    );
    t.true(nearest.every(({ similarity }, place) => place === 0 || similarity <= nearest[place - 1].similarity));
  }

  t.deepEqual(
    facts.evaluations.map(({ run, compute }) => [run, compute?.deviceHours]),
    [['run', 0.5]],
  );
  t.like(facts.evaluations[0].confusion, confusion);
  const accuracies = facts.evaluations[0].confusion?.accuracies ?? [];
  t.deepEqual(
    accuracies.map((accuracy) => accuracy && Math.round(accuracy.value)),
    [70, 90, null],
  );
  t.true(accuracies.every((accuracy) => accuracy === null || accuracy.high - accuracy.low > 20));
  const rows = facts.tables.flatMap(({ groups }) => groups.flatMap(({ rows }) => rows));
  const measuredRows = rows.filter(({ isPublished }) => !isPublished).map(({ cells }) => cells[0].text);
  t.deepEqual(measuredRows, ['I-JEPA [1]', 'random initialisation [2]', 'raw pixels'], 'without those of other runs');

  const byEncoder = ['report', 'run', '--out', 'context.html', '--pictures', '5', '--engine', 'wasm', '--encoder'];
  t.regex((await ijepaHere([...byEncoder, 'context'], folder)).stdout, /By the encoder context, which is not the one/);
  const other = factsIn(await readFile(join(folder, 'context.html'), 'utf8')).runs[0].pictures;
  t.deepEqual(
    other?.pictures.map(({ image }) => image),
    pictures.map(({ image }) => image),
  );
  t.not(other?.patches?.tokens, patches.tokens);
  for (const [encoder, more, message] of [
    ['contxt', [], /unknown encoder 'contxt'[\s\S]*expected: one of target, context/],
    ['context', ['--pictures', '0'], /--encoder context and no pictures contradict one another/],
  ] as const) {
    const refused = await ijepaHere([...byEncoder, encoder, ...more, '--force'], folder);
    t.is(refused.code, 2);
    t.regex(refused.stderr, message);
  }

  t.is((await ijepaHere(['report', 'run', '--out', 'page.html', '--pictures', '0'], folder)).code, 2, 'it exists');
  await cp(run, join(folder, 'begun'), { recursive: true });
  await rm(join(folder, 'begun', 'checkpoints'), { recursive: true });
  const both = [
    'report',
    'run',
    'begun',
    'run',
    '--out',
    'page.html',
    '--force',
    '--pictures',
    '2',
    '--engine',
    'wasm',
  ];
  const second = await ijepaHere(both, folder);
  t.regex(second.stdout, /begun: No feature maps: the run has no checkpoint yet/, second.stderr);
  const runs = factsIn(await readFile(join(folder, 'page.html'), 'utf8')).runs;
  t.deepEqual(
    runs.map(({ name, pictures }) => [name, pictures?.pictures.length]),
    [
      ['run', 2],
      ['begun', undefined],
    ],
  );
});

test.serial('a page asks for nothing and runs nothing but what its policy names', async (t) => {
  const folder = await temporaryFolder(t);
  const run = join(folder, '</script><img src=x>');
  t.is((await ijepaHere(['pretrain', ...SMALLEST, '--epochs', '1', '--out', run])).code, 0);
  const runs = await openRuns([run], async () => METHODS);
  const page = reportPage(await reportFacts(runs, { results: [] }, [{ pictures: null, picturesNote: null }], t.fail));
  t.deepEqual(
    [...new Set(page.match(/https?:\/\/[\w./-]+/g))],
    ['http://www.w3.org/2000/svg'],
    'a name, not an address',
  );
  t.false(/<img src=x>|@import|url\(/.test(page));
  const scripts = [...page.matchAll(/<script>(.*?)<\/script>/gs)].map(([, text]) => text);
  t.is(scripts.length, 1);
  const hash = createHash('sha256').update(scripts[0]).digest('base64');
  const [, policy = ''] = /Content-Security-Policy" content="([^"]*)"/.exec(page) ?? [];
  t.true(policy.startsWith("default-src 'none'; "));
  t.true(policy.includes(`script-src 'sha256-${hash}'`));
  t.true(policy.includes("connect-src 'none'"));
  t.is(factsIn(page).runs[0].name, 'script><img src=x>', 'the end of the path, as text');
});

test.serial('what cannot be shown is one message', async (t) => {
  const folder = await temporaryFolder(t);
  t.is((await ijepaHere(['pretrain', ...SMALLEST, '--epochs', '1', '--out', 'run'], folder)).code, 0);
  await writeFile(join(folder, 'run', 'log.jsonl'), '');
  for (const [args, message] of [
    [['report', '.', '--out', 'x.html'], /^ijepa: \. holds no run\n {2}expected: the folder of a run/],
    [['report', 'run', '--out', 'x.html'], /has logged no step yet/],
    [['report', 'run', '--out', 'no/x.html'], /the folder .*no does not exist/],
    [['report', 'run', '--out', 'run'], /run is a folder\n.*\n.*report\.html/],
    [['report', 'run', '--out', 'x.html', '--pictures', '65'], /--pictures.*65/],
    [['watch', 'nowhere'], /nowhere holds no run/],
  ] as const) {
    const { code, stderr } = await ijepaHere(args, folder);
    t.is(code, 2, args.join(' '));
    t.regex(stderr, message);
  }
});

test('the columns of a log are read on as it grows, and anew where it is another file', async (t) => {
  const folder = runFolder(await temporaryFolder(t));
  const log = new LogColumns(folder);
  const losses = () => {
    log.readOn();
    return log.curves().find(({ name }) => name === 'loss')?.values;
  };
  t.is(losses(), undefined, 'there is no log yet');
  await writeFile(folder.log, line(1) + line(2, 2) + line(3, 3).slice(0, 50));
  t.deepEqual(losses(), [1, 2], 'a line counts when it is whole');
  await appendFile(folder.log, `${line(3, 3).slice(50)}damaged\n${line(4, 4)}`);
  t.deepEqual(losses(), [1, 2, 3, 4]);
  t.is(log.last?.step, 4);
  await rm(folder.log);
  await writeFile(folder.log, line(1) + line(2, 7));
  t.deepEqual(losses(), [1, 7], 'a run that goes on has cut it');
  await rm(folder.log);
  t.is(losses(), undefined);
});

test('long curves keep their highest and lowest values and their ends', (t) => {
  const steps = Array.from({ length: 50_000 }, (_, at) => at + 1);
  const values = steps.map((step) => Math.sin(step / 1000));
  values[31_234] = 99;
  values[31_235] = -99;
  const short = thinned({ steps, values });
  t.true(short.steps.length <= 2002);
  t.deepEqual([short.steps[0], short.steps.at(-1)], [1, 50_000]);
  t.is(short.values[short.steps.indexOf(31_235)], 99);
  t.is(short.values[short.steps.indexOf(31_236)], -99);
  t.deepEqual(
    short.steps,
    short.steps.toSorted((a, b) => a - b),
  );
  const few = { steps: steps.slice(0, 2000), values: values.slice(0, 2000) };
  t.is(thinned(few).steps.length, 2000, 'those that are short stay whole');
});

test.serial('a network alone is shown on pictures that are named, without what only a run knows', async (t) => {
  const folder = await temporaryFolder(t);
  const asked = ['report', 'builtin:drawings', '--out', 'page.html', '--pictures', '3', '--engine', 'wasm', '--json'];
  const unnamed = await ijepaHere(asked, folder);
  t.is(unnamed.code, 2);
  t.regex(unnamed.stderr, /builtin:drawings holds no run[\s\S]*name pictures with --data/);
  const { code, stdout, stderr } = await ijepaHere([...asked, '--data', 'shapes:8'], folder);
  t.is(code, 0, stderr);
  t.like(JSON.parse(stdout).runs[0], { name: 'builtin:drawings', path: null, state: null, pictures: 3 });
  const [shown] = factsIn(await readFile(join(folder, 'page.html'), 'utf8')).runs;
  t.like(shown, { name: 'builtin:drawings', standing: null, curves: [], options: [], masks: null });
  t.is(shown.pictures?.patches?.grid, 4);
  t.deepEqual(shown.about[0], { name: 'network', value: 'ViT 128x2/8, in builtin:drawings' });
});
