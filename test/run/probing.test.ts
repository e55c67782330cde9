import { cp, mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { UserError } from '../../core/base/errors.js';
import { bestCheckpoint, epochCheckpoint, latestCheckpoint } from '../../core/checkpoint/folder.js';
import { readSafetensors } from '../../core/checkpoint/safetensors.js';
import { loadNetwork } from '../../core/eval/network.js';
import type { OnlineProbe } from '../../core/eval/online-probe.js';
import { type ProbeMemory, parseProbeMemory, startProbing } from '../../core/run/probing.js';
import { type RunFolder, readRunState, runFolder } from '../../core/run/run-folder.js';
import { readRunLog } from '../../core/run/run-log.js';
import { differences } from '../faults/differences.js';
import { type EndedHere, ijepaHere, SMALLEST_OF, temporaryFolder } from '../helpers/command.js';

/** Four epochs of two steps, each kept, of an encoder that changes so much that probes tell different things. */
const RUN = [
  ...['pretrain', 'shapes:16', ...SMALLEST_OF.mae.slice(1)],
  ...'--epochs 4 --save-every-epochs 1 --keep-checkpoints 9 --learning-rate 0.1'.split(' '),
];
const PROBE = '--probe shapes:45 --probe-images 45 --probe-every-steps 2'.split(' ');

const folder = await mkdtemp(join(tmpdir(), 'ijepa-test-'));
test.after.always(() => rm(folder, { recursive: true, force: true }));
const [plain, probed] = ['plain', 'probed'].map((name) => runFolder(join(folder, name))) as [RunFolder, RunFolder];
let said: EndedHere;

test.before(async () => {
  await ijepaHere([...RUN, '--out', plain.path]);
  said = await ijepaHere([...RUN, ...PROBE, '--out', probed.path]);
});

const stepOf = async (path: string) => Number((await readSafetensors(path)).metadata.step);
/** A copy of the probed run as if it had been killed after an epoch; and what it says when it goes on. */
async function resumed(name: string, epoch: number) {
  const run = runFolder(join(folder, name));
  await cp(probed.path, run.path, { recursive: true });
  await rename(epochCheckpoint(run.checkpoints, epoch), latestCheckpoint(run.checkpoints));
  await rm(bestCheckpoint(run.checkpoints));
  return { run, go: () => ijepaHere(['pretrain', '--resume', '--out', run.path]) };
}

test.serial('a probe is logged every few steps, and changes nothing of what is trained', async (t) => {
  t.is(said.code, 0, said.stderr);
  const log = readRunLog(probed);
  t.deepEqual(
    log.map(({ probe }) => probe !== null),
    [false, true, false, true, false, true, false, true],
  );
  const told = log.flatMap(({ probe }) => probe ?? []);
  t.true(told.every(({ logistic, neighbours }) => logistic > 0 && logistic < 100 && Number(neighbours) > 0));
  t.true(new Set(told.map(({ logistic }) => logistic)).size > 1, 'they tell different things');
  t.true(log.every(({ probe, probeSeconds }) => (probe === null ? probeSeconds === null : Number(probeSeconds) > 0)));
  t.regex(
    said.stdout,
    /probe {6}30 labelled images of 8 classes of shapes:45, and 15 to judge by, 34\.6 kB of pixels; every 2 steps/,
  );
  t.is([...said.stdout.matchAll(/^probe {6}(?:step \d|before the first step): logistic regression/gm)].length, 5);

  const [own, other] = [
    await readSafetensors(latestCheckpoint(probed.checkpoints)),
    await readSafetensors(latestCheckpoint(plain.checkpoints)),
  ];
  t.deepEqual(own.tensors, other.tensors);
  const [head, ...lines] = (await readFile(probed.table, 'utf8')).trimEnd().split('\n');
  t.true(head?.endsWith(',featureRank,probe.logistic,probe.neighbours,probeSeconds'), head);
  t.true(lines[0]?.endsWith(',,,') && !lines[1]?.endsWith(','));
  t.deepEqual(
    readRunLog(plain).map(({ loss, probe }) => [loss, probe]),
    log.map(({ loss }) => [loss, undefined]),
  );
});

test.serial('the checkpoint of the best step is kept, and everything tells of it', async (t) => {
  const told = readRunLog(probed).flatMap(({ step, probe }) => (probe ? [{ step, ...probe }] : []));
  const highest = Math.max(...told.map(({ logistic }) => logistic));
  const best = told.find(({ logistic }) => logistic === highest) ?? { step: 0 };
  const path = bestCheckpoint(probed.checkpoints);
  t.is(await stepOf(path), best.step);
  t.deepEqual(await readFile(path), await readFile(epochCheckpoint(probed.checkpoints, best.step / 2)));
  const network = await loadNetwork(path);
  t.is(network.facts.epochs, best.step / 2);
  network.dispose();
  t.deepEqual((await readRunState(probed.state))?.probe, best);
  t.true(said.stdout.includes(`best       step ${best.step}: logistic regression ${highest.toFixed(1)}%`), said.stdout);
  const { stdout } = await ijepaHere(['runs', folder]);
  t.regex(stdout, new RegExp(`^probed .* ${highest.toFixed(1)} at ${best.step} `, 'm'));
});

test.serial('a run that is probed goes on to the same bytes, its best checkpoint too', async (t) => {
  const best = await stepOf(bestCheckpoint(probed.checkpoints));
  // From before the best step, and from that very step, as if it had been killed before that was kept.
  for (const epoch of new Set([1, best / 2])) {
    const { run, go } = await resumed(`from-${epoch}`, epoch);
    const { code, stdout, stderr } = await go();
    t.is(code, 0, stderr);
    t.regex(stdout, new RegExp(`going on after step ${2 * epoch}`));
    t.notRegex(stdout, /before the first step/);
    t.deepEqual(await differences(run, probed), []);
  }
});

test.serial('what a run cannot be probed with is one message', async (t) => {
  const out = join(await temporaryFolder(t), 'run');
  const [images] = SMALLEST_OF.mae;
  t.is(images, 'shapes:48');
  for (const [args, message] of [
    [[...RUN, '--probe', 'shape:90', '--out', out], /unknown folder or data set 'shape:90'/],
    [[...RUN, '--probe', folder, '--out', out], /train does not exist|has no|expected/],
    [[...RUN, '--probe', 'folder:.', '--out', 'inside'], /the run's folder inside lies inside the data \./],
    [
      ['pretrain', '--resume', '--out', probed.path, '--probe', 'shapes:60'],
      /--probe cannot change when a run goes on: it was shapes:45/,
    ],
    [
      ['pretrain', '--resume', '--out', plain.path, '--probe', 'shapes:45'],
      /--probe cannot change when a run goes on: it was none/,
    ],
  ] as const) {
    const { code, stderr } = await ijepaHere(args, folder);
    t.is(code, 2, args.join(' '));
    t.regex(stderr, message);
  }
});

test.serial(
  'left to the time that it takes, a short run is probed before the first step and after the last one',
  async (t) => {
    const run = runFolder(join(folder, 'short'));
    const { code, stderr } = await ijepaHere([...RUN, ...PROBE.slice(0, 4), '--epochs', '1', '--out', run.path]);
    t.is(code, 0, stderr);
    t.deepEqual(
      readRunLog(run).map(({ probe }) => probe !== null),
      [false, true],
    );
    const { metadata } = await readSafetensors(latestCheckpoint(run.checkpoints));
    const memory = parseProbeMemory(JSON.parse(metadata.memory ?? ''));
    t.is(memory?.timed?.step, 2);
    t.true(Number(memory?.first?.logistic) > 0);
  },
);

/** Starts a probe that tells these numbers, or fails, one after the other. */
async function started(
  told: readonly (number | Error)[],
  memory: ProbeMemory | null = null,
  stop = new AbortController(),
) {
  const lines: string[] = [];
  const left = [...told];
  const probe: OnlineProbe = {
    images: { classes: 2, train: 2, test: 1, bytes: 9 },
    fingerprint: 'these',
    async judge(_encoder, _onBatch, signal) {
      signal?.throwIfAborted();
      const next = left.shift();
      if (typeof next === 'number') return { logistic: next, neighbours: null };
      throw next ?? new Error('nothing is left');
    },
  };
  const console = { line: (text = '') => void lines.push(text), warn: (text: string) => void lines.push(text) };
  const options = { probe: 'folder:mine', probeEverySteps: 1 };
  const about = { options, probe, ranks: { phase: () => {} }, stop: { aborted: stop.signal }, console };
  return { probing: await startProbing(about, 9, {}, memory), lines };
}

test('of equals the earlier step stays the best one; a probe that fails is named once, and the run goes on', async (t) => {
  const { probing, lines } = await started([10, 20, new Error('no'), 20, new Error('no'), 21, 5]);
  const results = [];
  for (let step = 1; step <= 6; step++) results.push((await probing?.after(step, {}, 1))?.result?.logistic ?? null);
  t.deepEqual(results, [20, null, 20, null, 21, 5]);
  t.deepEqual(lines, [
    'probe      before the first step: logistic regression 10.0%',
    'probe      step 1: logistic regression 20.0%, the best so far',
    'the online probe failed: no; the run goes on, and this is not told again',
    'probe      step 3: logistic regression 20.0%',
    'probe      step 5: logistic regression 21.0%, the best so far',
    'probe      step 6: logistic regression 5.0%',
  ]);
  const step = (at: number, logistic: number) => ({ logistic, neighbours: null, step: at });
  t.deepEqual(probing?.memory, {
    ...{ fingerprint: 'these', first: { logistic: 10, neighbours: null }, timed: null },
    ...{ best: step(5, 21), last: step(6, 5) },
  });
});

test('a run that is asked to stop before its first step is not probed until it goes on', async (t) => {
  const stop = new AbortController();
  stop.abort();
  const { probing, lines } = await started([10], null, stop);
  t.deepEqual([probing?.memory.first, lines], [null, []]);
  const again = await started([10], probing?.memory);
  t.is(again.probing?.memory.first?.logistic, 10);
});

test('a run is not probed with other images than before', async (t) => {
  const { probing } = await started([10]);
  const memory = { ...(probing?.memory as ProbeMemory), fingerprint: 'those' };
  await t.throwsAsync(started([], memory), {
    instanceOf: UserError,
    message: 'the labelled images in folder:mine are not those that the run was probed with',
  });
});
