import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { startEngine } from '../../core/engine/start.js';
import { drawBatch, meanPatches } from '../../core/methods/batch.js';
import { stepOperations } from '../../core/nn/cost.js';
import { runCompute } from '../../core/run/run-log.js';
import { ijepaHere, SMALLEST, temporaryFolder } from '../helpers/command.js';
import { methodOf } from '../helpers/method.js';

test.serial('the compute of a run is the sum over the steps of its log', async (t) => {
  const folder = join(await temporaryFolder(t), 'run');
  const run = await ijepaHere(['pretrain', ...SMALLEST, '--epochs', '2', '--out', folder]);
  t.is(run.code, 0, run.stderr);
  const log = join(folder, 'log.jsonl');
  const rows = (await readFile(log, 'utf8'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  t.is(rows.length, 12);
  const size = { imageSize: 16, patchSize: 4, dim: 16, depth: 1, heads: 2, predictorDim: 8, predictorDepth: 1 };
  await startEngine('cpu');
  const { definition, method, options } = methodOf(size);
  const flopsOf = (_row: unknown, at: number) => {
    const { groups } = drawBatch(method, options.seed, at + 1, 8);
    return 8 * stepOperations(definition.passes(options, meanPatches(groups)));
  };
  const total = (values: number[]) => values.reduce((sum, value) => sum + value, 0);

  const whole = runCompute(folder);
  t.is(whole?.trainingFlops, total(rows.map(flopsOf)));
  const hours = total(rows.map(({ seconds }) => seconds / 3600));
  t.true(hours > 0);
  t.true(Math.abs((whole?.deviceHours ?? 0) - hours) < 1e-9 * hours + 1e-15);
  const half = runCompute(folder, 1);
  t.is(half?.trainingFlops, total(rows.slice(0, 6).map(flopsOf)));

  await writeFile(
    log,
    rows.filter((_, at) => at !== 3).map((row) => `${JSON.stringify(row)}\n`),
  );
  t.is(runCompute(folder), null, 'a step is missing');
  await writeFile(log, rows.map((row) => `${JSON.stringify({ ...row, seconds: null })}\n`).join(''));
  t.is(runCompute(folder), null, 'a time is not known');
});

test('what is no run has no compute', async (t) => {
  t.is(runCompute(await temporaryFolder(t)), null);
});
