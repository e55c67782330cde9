import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { UserError } from '../../core/base/errors.js';
import { addResults, mergeResults, readResults, writeResults } from '../../core/eval/results.js';
import { temporaryFolder } from '../helpers/command.js';
import { evaluationResult } from '../helpers/evaluation.js';

test('results that are written are read again as they were, and nothing is left beside them', async (t) => {
  const folder = await temporaryFolder(t);
  const path = join(folder, 'results.json');
  const results = [evaluationResult(), evaluationResult({ network: { weights: 'random' }, top1: 12 })];
  await writeResults(path, results);
  t.deepEqual(await readResults(path), results);
  t.deepEqual(await readdir(folder), ['results.json']);
});

test('a damaged field is named', async (t) => {
  const path = join(await temporaryFolder(t), 'results.json');
  const good = evaluationResult();
  const damaged: [unknown, RegExp][] = [
    [{ ...good, testImages: 'many' }, /result 2 is damaged at testImages/],
    [{ ...good, network: { ...good.network, arch: undefined } }, /damaged at network\.arch/],
    [{ ...good, best: { ...good.best, top1: { value: 140, low: 1, high: 2 } } }, /damaged at best\.top1\.value/],
    [{ ...good, best: { ...good.best, top1: { value: Number.NaN, low: 1, high: 2 } } }, /damaged at best\.top1\.value/],
    [{ ...good, heads: [{ ...good.heads[0], curve: [1, 'x'] }] }, /damaged at heads\.0\.curve\.1/],
    [{ ...good, protocolName: 'better' }, /damaged at protocolName/],
    [{ ...good, measuredAt: 'yesterday' }, /damaged at measuredAt/],
    [null, /result 2 is damaged at the whole of it/],
  ];
  for (const [entry, message] of damaged) {
    await writeFile(path, JSON.stringify([good, entry]));
    const error = await t.throwsAsync(readResults(path), { instanceOf: UserError });
    t.regex(error?.message ?? '', message);
  }
});

test('files of another version, cut-off files and other files are told apart', async (t) => {
  const path = join(await temporaryFolder(t), 'results.json');
  await writeFile(path, JSON.stringify([{ ...evaluationResult(), format: 'ijepa-evaluation-7' }]));
  await t.throwsAsync(readResults(path), { instanceOf: UserError, message: /has the format 'ijepa-evaluation-7'/ });
  await writeFile(path, JSON.stringify([evaluationResult()]).slice(0, 300));
  await t.throwsAsync(readResults(path), { instanceOf: UserError, message: /is not whole/ });
  await writeFile(path, '{"accuracy": 1}');
  await t.throwsAsync(readResults(path), { instanceOf: UserError, message: /holds no list/ });
  await t.throwsAsync(readResults(`${path}x`), { instanceOf: UserError, message: /does not exist/ });
});

test('a new result takes the place of the same network, data set, kind and protocol alone', (t) => {
  const before = [
    evaluationResult({ top1: 40 }),
    evaluationResult({ top1: 41, protocolName: 'quick' }),
    evaluationResult({ top1: 42, dataSet: 'inat18' }),
    evaluationResult({ top1: 43, kind: 'linear' }),
    evaluationResult({ top1: 44, network: { epochs: 50 } }),
    evaluationResult({ top1: 45, network: { encoder: 'context' } }),
    evaluationResult({ top1: 46, network: { weights: 'random' } }),
    evaluationResult({ top1: 47, network: { weights: 'random' }, seed: 1 }),
  ];
  const merged = mergeResults(before, [evaluationResult({ top1: 60, seed: 5 })]);
  t.deepEqual(
    merged.map(({ best }) => best.top1.value),
    [60, 41, 42, 43, 44, 45, 46, 47],
  );
  t.is(mergeResults(before, [evaluationResult({ network: { checkpoint: 'runs/b' } })]).length, before.length + 1);
});

test('results are added to a file, which is made where there is none; a damaged one is kept', async (t) => {
  const path = join(await temporaryFolder(t), 'results.json');
  await addResults(path, [evaluationResult({ top1: 40 })]);
  await addResults(path, [evaluationResult({ top1: 50 }), evaluationResult({ dataSet: 'inat18' })]);
  t.deepEqual(
    (await readResults(path)).map(({ dataSet, best }) => [dataSet, best.top1.value]),
    [
      ['cifar100', 50],
      ['inat18', 40],
    ],
  );
  await writeFile(path, '[{');
  await t.throwsAsync(addResults(path, [evaluationResult()]), { instanceOf: UserError, message: /is not whole/ });
  t.is(await readFile(path, 'utf8'), '[{');
});
