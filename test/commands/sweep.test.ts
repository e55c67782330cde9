import { existsSync, readFileSync, statSync } from 'node:fs';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { ijepaHere, temporaryFolder } from '../helpers/command.js';

const BASE =
  'base: { method: mae, data: [shapes:12], imageSize: 16, patchSize: 4, dim: 16, depth: 1, heads: 2, batchSize: 4, ' +
  'engine: wasm, epochs: 1, warmupEpochs: 0 }';
const PROBE = 'probe: { data: shapes:12, neighbours: 3, measure: neighbours }';
/** The first one diverges. */
const RATES = 'grid: { learningRate: [1e+30, 1e-3] }';
const LAST = 'learningRate-0.001';

/** What a sweep measured, without the time that it took. */
async function factsOf(out: string) {
  return JSON.parse(await readFile(join(out, 'sweep.json'), 'utf8'), (name, value) =>
    name === 'seconds' ? null : value,
  );
}

test.serial(
  'trials are trained and judged; one that diverges is a row; a stopped sweep ends in the same',
  async (t) => {
    const folder = await temporaryFolder(t);
    const file = join(folder, 'sweep.yaml');
    await writeFile(file, [BASE, RATES, PROBE].join('\n'));
    const sweepIn = (out: string, ...more: string[]) => ijepaHere(['sweep', '--file', file, '--out', out, ...more]);

    const whole = join(folder, 'whole');
    const { code, stdout, stderr } = await sweepIn(whole, '--json');
    t.is(code, 0, stderr);
    const { files, ...printed } = JSON.parse(stdout);
    t.deepEqual(printed, JSON.parse(await readFile(join(whole, 'sweep.json'), 'utf8')));
    t.deepEqual(
      printed.runs.map(({ name, probed }: { name: string; probed: { k: number } }) => [name, probed.k]),
      [[LAST, 3]],
    );
    t.is(printed.failed.length, 1);
    t.regex(printed.failed[0].reason, /NaN|Infinity|infinite/);
    t.deepEqual(
      printed.rows.map(({ title }: { title: string }) => title),
      ['learningRate 0.001', 'learningRate 1e+30', 'random initialisation', 'raw pixels'],
    );
    t.regex(await readFile(files[1], 'utf8'), /failed/);
    t.regex(await readFile(files[2], 'utf8'), /learningRate 1e\+30/);
    t.is(stderr.match(/shapes, a sweep: 8 classes/g)?.length, 2, 'a table after each trial');
    t.regex(stderr, /trial 2 of 2, learningRate 0\.001, seed 0, epoch 1\/1 {2}step 3\/3 .* left, 0s of all runs/);
    t.true(existsSync(printed.best.command.match(/--config (\S+)/)[1]));

    const stopped = join(folder, 'stopped');
    const timer = setInterval(() => {
      const log = join(stopped, `${LAST}_seed-0`, 'log.jsonl');
      if (!existsSync(log) || statSync(log).size === 0) return;
      clearInterval(timer);
      process.emit('SIGINT', 'SIGINT');
    }, 2);
    const first = await sweepIn(stopped);
    clearInterval(timer);
    t.is(first.code, 130, first.stderr);
    t.regex(first.stdout, /stopped; go on with: .* sweep --file \S+ --out \S+stopped --resume\n/);
    t.is((await factsOf(stopped)).failed.length, 1, 'what was known is kept');
    const again = await sweepIn(stopped);
    t.regex(again.stderr, /already holds a sweep[\s\S]*--resume/);
    const text = await readFile(file, 'utf8');
    await writeFile(file, text.replace('epochs: 1', 'epochs: 2'));
    t.regex((await sweepIn(stopped, '--resume')).stderr, /base in \S+ is not what the sweep was begun with/);
    await writeFile(file, text);
    const second = await sweepIn(stopped, '--resume');
    t.is(second.code, 0, second.stderr);
    const [{ best: one, ...found }, { best: two, ...expected }] = [await factsOf(stopped), await factsOf(whole)];
    t.deepEqual([found, one.name], [expected, two.name]);
    const weights = [stopped, whole].map((out) =>
      readFileSync(join(out, `${LAST}_seed-0`, 'checkpoints', 'latest.safetensors')),
    );
    t.true(weights[0]?.equals(weights[1] as Buffer));
    t.deepEqual(
      (await readdir(stopped)).filter((name) => name.endsWith('.lock')),
      [],
    );
  },
);

test.serial('a sweep of which no trial is complete ends with one message, and can be tried again', async (t) => {
  const folder = await temporaryFolder(t);
  const [file, out] = [join(folder, 'sweep.yaml'), join(folder, 'out')];
  await writeFile(file, [BASE, 'grid: { learningRate: [1e+30, 1e+31] }', PROBE].join('\n'));
  const sweep = (...more: string[]) => ijepaHere(['sweep', '--file', file, '--out', out, ...more]);
  for (const { code, stdout, stderr } of [await sweep('--json'), await sweep('--json', '--resume')]) {
    t.is(code, 2, stderr);
    t.like(JSON.parse(stdout), { best: null, runs: [] });
    t.is(stderr.match(/^ijepa: /gm)?.length, 1, stderr);
    t.regex(stderr, /ijepa: no trial of the sweep is complete: 2 of 2 runs failed\n {2}learningRate 1e\+30, seed 0/);
    t.regex(stderr, /what to do: read the logs, log\.jsonl in \S+learningRate-1e\+30_seed-0 for example/);
    t.regex(await readFile(join(out, 'table.md'), 'utf8'), /failed/);
  }
});

test.serial('what a trial cannot be trained with is told before anything is written', async (t) => {
  const folder = await temporaryFolder(t);
  const [file, out] = [join(folder, 'sweep.yaml'), join(folder, 'out')];
  for (const [lines, message] of [
    [[BASE, 'grid: { heads: [2, 3] }', PROBE], /the trial heads 3: --dim 16 does not fit 3 heads/],
    [[BASE.replace('shapes:12', 'shapes:3'), RATES, PROBE], /a batch of 4 images is more than the 3/],
    [[BASE, RATES, 'probe: { data: shapes:12, neighbours: 13 }'], /probe\.neighbours in \S+ cannot be 13/],
    [[BASE, RATES, `probe: { data: ${folder} }`], /train\/CLASS and val\/CLASS/],
    [[BASE, RATES], /probe is missing in/],
    [[BASE.replace('shapes:12', folder), RATES, PROBE], /the sweep's folder/],
  ] as const) {
    await writeFile(file, lines.join('\n'));
    const { code, stderr } = await ijepaHere(['sweep', '--file', file, '--out', out]);
    t.is(code, 2, stderr);
    t.regex(stderr, message);
    t.is(stderr.match(/^ijepa: /gm)?.length, 1, stderr);
    t.false(existsSync(out));
  }
  await writeFile(file, [BASE, RATES, PROBE].join('\n'));
  t.regex((await ijepaHere(['sweep', '--file', file, '--out', out, '--resume'])).stderr, /there is no sweep to resume/);
  t.regex((await ijepaHere(['sweep', '--file', file, '--out', folder])).stderr, /is not empty and holds no sweep/);
});
