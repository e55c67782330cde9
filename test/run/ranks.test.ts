import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { latestCheckpoint } from '../../core/checkpoint/folder.js';
import { runFolder } from '../../core/run/run-folder.js';
import { readRunLog } from '../../core/run/run-log.js';
import { ijepaHere, SMALLEST, type StartOptions, startProgram, temporaryFolder } from '../helpers/command.js';
import { launcherTest } from '../helpers/launcher-test.js';
import { type Launcher, launchers, processOfRank } from '../helpers/launchers.js';
import { COMMAND } from '../helpers/paths.js';

const RUN = ['pretrain', ...SMALLEST, '--epochs', '1'];
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

/** Training in two parts of each batch, in this process: what two ranks have to end with. */
let inHalves: Record<'short' | 'long', Awaited<ReturnType<typeof outcomeOf>>>;
/** Steps enough for a signal to arrive before the last one. */
const LONG = ['--epochs', '4'];

test.before(async () => {
  const folder = await mkdtemp(join(tmpdir(), 'ijepa-test-'));
  const trained = async (name: string, more: readonly string[]) => {
    await ijepaHere([...RUN, ...more, ...HALVES, '--out', join(folder, name)]);
    return outcomeOf(join(folder, name));
  };
  inHalves = { short: await trained('short', []), long: await trained('long', LONG) };
  await rm(folder, { recursive: true });
});

launcherTest('two ranks end in the bytes of one that computes the same parts', async (t, launcher) => {
  const cwd = await temporaryFolder(t);
  const run = join(cwd, 'run');
  const { code, stdout, stderr } = await inRanks(launcher, 2, [...RUN, '--out', run], { cwd });
  t.is(code, 0, stderr);
  const two = await outcomeOf(run);
  t.true(two.checkpoint.equals(inHalves.short.checkpoint));
  t.deepEqual(two.losses, inHalves.short.losses);
  t.regex(stdout, /^ranks {6}2 on this host, .*; 4 images a rank/m);
});

const [first] = launchers();
const testOnFirst = first ? test.serial : test.serial.skip;

launcherTest('a rank that is asked to stop stops all, and fewer ranks go on', async (t, launcher) => {
  const cwd = await temporaryFolder(t);
  const run = join(cwd, 'run');
  // By one launcher the ranks share moments, which changes no byte.
  const more = launcher.name === first?.name ? [...LONG, '--shard-optimiser'] : LONG;
  const begun = await inRanks(launcher, 2, [...RUN, ...more, '--out', run], {
    cwd,
    started: (child) => {
      child.stdout?.on('data', (data: Buffer) => {
        const pid = data.includes('step 1/') ? processOfRank(run, 1) : undefined;
        if (pid !== undefined) process.kill(pid, 'SIGTERM');
      });
    },
  });
  t.is(begun.code, 143, begun.stderr);
  t.regex(begun.stdout, /stopped after step \d+ of 24; everything up to there is saved/);
  const resumed = await ijepaHere(['pretrain', '--resume', '--out', run], cwd);
  t.is(resumed.code, 0, resumed.stderr);
  t.true((await outcomeOf(run)).checkpoint.equals(inHalves.long.checkpoint));
});

/** What two ranks that end with exit code 2 say is wrong. @param others what the second one is given instead */
async function complaintsOf(
  t: ExecutionContext,
  launcher: Launcher,
  given: readonly string[],
  others?: readonly string[],
): Promise<string[]> {
  const cwd = await temporaryFolder(t);
  const [first, second] = [given, others].map((words) => words && [...words, '--out', join(cwd, 'run')]);
  const { code, stderr } = await inRanks(launcher, 2, first as string[], { cwd }, second);
  t.is(code, 2, stderr);
  return stderr.split('\n').filter((line) => line.startsWith('ijepa: '));
}

testOnFirst('ranks with other options, and what is wrong on all of them, are told once', async (t) => {
  const launcher = first as Launcher;
  const [name = ''] = await complaintsOf(t, launcher, RUN, [...RUN, '--learning-rate', '0.5']);
  t.regex(name, /^ijepa: rank 1 on \S+: --learning-rate is 0.5 here, and 0.001 on rank 0$/);
  t.is((await complaintsOf(t, launcher, [...RUN, '--learning-rat', '1'])).length, 1);
});

testOnFirst('data that no rank has is told once', async (t) => {
  t.is((await complaintsOf(t, first as Launcher, ['pretrain', 'nowhere'])).length, 1);
});
