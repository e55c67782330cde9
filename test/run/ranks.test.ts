import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { latestCheckpoint } from '../../core/checkpoint/folder.js';
import { runFolder } from '../../core/run/run-folder.js';
import { readRunLog } from '../../core/run/run-log.js';
import { ijepaHere, SMALLEST, type StartOptions, startProgram, temporaryFolder } from '../helpers/command.js';
import { relativeDifference } from '../helpers/engines.js';
import { launcherTest } from '../helpers/launcher-test.js';
import { type Launcher, launchers, processOfRank } from '../helpers/launchers.js';
import { COMMAND } from '../helpers/paths.js';

const RUN = ['pretrain', ...SMALLEST, '--epochs', '2'];
/** Parts of a batch of 8 as two ranks have them. */
const HALVES = ['--micro-batch-size', '4'];

/** Runs the program on so many ranks. @param others what the second rank is given instead */
function inRanks(
  { command, args }: Launcher,
  ranks: number,
  given: readonly string[],
  options: StartOptions,
  others?: readonly string[],
) {
  const program = [process.execPath, COMMAND];
  if (!others) return startProgram([command, ...args(ranks), ...program, ...given], options);
  return startProgram([command, ...args(1), ...program, ...given, ':', '-n', '1', ...program, ...others], options);
}

/** Weights, moments and losses of a run that has ended. */
async function outcomeOf(path: string) {
  const folder = runFolder(path);
  const losses = Float32Array.from(readRunLog(folder), ({ loss }) => loss);
  return { checkpoint: await readFile(latestCheckpoint(folder.checkpoints)), losses };
}

/** Trains on so many ranks, or in this process where no launcher is given. */
async function train(t: ExecutionContext, launcher: Launcher | null, ranks = 1, more: readonly string[] = []) {
  const cwd = await temporaryFolder(t);
  const given = [...RUN, ...more, '--out', join(cwd, 'run')];
  const { code, stdout, stderr } = await (launcher ? inRanks(launcher, ranks, given, { cwd }) : ijepaHere(given, cwd));
  t.is(code, 0, stderr);
  return { ...(await outcomeOf(join(cwd, 'run'))), stdout };
}

const LAST_BITS = 1e-5;

launcherTest('two ranks end in the bytes of one that computes the same parts', async (t, launcher) => {
  const one = await train(t, null, 1, HALVES);
  const two = await train(t, launcher, 2);
  t.true(two.checkpoint.equals(one.checkpoint));
  t.deepEqual(two.losses, one.losses);
  t.regex(two.stdout, /^ranks {6}2 on this host, .*; 4 images a rank/m);
});

const [first] = launchers();
(first ? test.serial : test.skip)(
  'four ranks end in the last bits of one, and share moments to the same bytes',
  async (t) => {
    const [one, four] = [await train(t, null), await train(t, first as Launcher, 4)];
    const difference = relativeDifference(four.losses, one.losses);
    t.true(difference > 0 && difference < LAST_BITS, String(difference));
    const shared = await train(t, first as Launcher, 4, ['--shard-optimiser']);
    t.true(shared.checkpoint.equals(four.checkpoint));
  },
);

launcherTest('a rank that is asked to stop stops all, and fewer ranks go on', async (t, launcher) => {
  const cwd = await temporaryFolder(t);
  const run = join(cwd, 'run');
  const given = [...RUN, '--epochs', '16', '--out', run];
  const begun = await inRanks(launcher, 2, given, {
    cwd,
    started: (child) => {
      child.stdout?.on('data', (data: Buffer) => {
        const pid = data.includes('step 1/') ? processOfRank(run, 1) : undefined;
        if (pid !== undefined) process.kill(pid, 'SIGTERM');
      });
    },
  });
  t.is(begun.code, 143, begun.stderr);
  t.regex(begun.stdout, /stopped after step \d+ of 96; everything up to there is saved/);
  const resumed = await ijepaHere(['pretrain', '--resume', '--out', run], cwd);
  t.is(resumed.code, 0, resumed.stderr);
  const whole = await ijepaHere([...given.slice(0, -1), join(cwd, 'whole'), ...HALVES], cwd);
  t.is(whole.code, 0, whole.stderr);
  t.true((await outcomeOf(run)).checkpoint.equals((await outcomeOf(join(cwd, 'whole'))).checkpoint));
});

launcherTest('ranks with other options, and what is wrong on all of them, are told once', async (t, launcher) => {
  const cwd = await temporaryFolder(t);
  const tell = async (given: readonly string[], others?: readonly string[]) => {
    const { code, stderr } = await inRanks(launcher, 2, given, { cwd }, others);
    t.is(code, 2, stderr);
    return stderr.split('\n').filter((line) => line.startsWith('ijepa: '));
  };
  const out = ['--out', join(cwd, 'run')];
  const [name = ''] = await tell([...RUN, ...out], [...RUN, '--learning-rate', '0.5', ...out]);
  t.regex(name, /^ijepa: rank 1 on \S+: --learning-rate is 0.5 here, and 0.001 on rank 0$/);
  t.is((await tell([...RUN, '--learning-rat', '1', ...out])).length, 1);
  t.is((await tell(['pretrain', 'nowhere', ...out])).length, 1);
});
