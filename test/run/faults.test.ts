import { existsSync } from 'node:fs';
import { appendFile, chmod, cp, mkdir, mkdtemp, readFile, rename, rm, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import sharp from 'sharp';
import { latestCheckpoint, previousCheckpoint } from '../../core/checkpoint/folder.js';
import { readSafetensors } from '../../core/checkpoint/safetensors.js';
import { readRunState, runFolder } from '../../core/run/run-folder.js';
import { crowd, crowdOfCommands } from '../faults/crowds.js';
import { killAndResume } from '../faults/harness.js';
import {
  type EndedHere,
  ijepaHere,
  SMALLEST,
  SMALLEST_OF,
  type StartOptions,
  startIjepa,
  temporaryFolder,
} from '../helpers/command.js';
import { canMount, checkpointsOf, mountSmall, ordinaryUser, whenLogged } from '../helpers/faults.js';
import { jumpingClock } from '../helpers/jumping-clock.js';

const RUN = [...SMALLEST, '--epochs', '2', '--save-every-steps', '3'];
const latest = (run: string) => join(run, 'checkpoints', 'latest.safetensors');
const pretrain = (run: string, options?: StartOptions) => startIjepa(['pretrain', ...RUN, '--out', run], options);
const resume = (run: string) => ijepaHere(['pretrain', '--out', run, '--resume']);

/** A run that nobody disturbed, and its last checkpoint. */
let undisturbed: string;
let whole: Buffer;

test.before(async () => {
  undisturbed = join(await mkdtemp(join(tmpdir(), 'ijepa-test-')), 'whole');
  await ijepaHere(['pretrain', ...RUN, '--out', undisturbed]);
  whole = await readFile(latest(undisturbed));
});

test.after.always(() => rm(join(undisturbed, '..'), { recursive: true, force: true }));

// Of a method with a state of its own beside its networks; test/run/pretrain.test.ts kills those of I-JEPA.
test.serial('a run of dino that is killed at a random moment ends in the same bytes', async (t) => {
  const dino = ['shapes:24', ...SMALLEST_OF.dino.slice(1)];
  const report = await killAndResume(await temporaryFolder(t), { kills: 1, seed: 3, of: dino });
  t.deepEqual(report.faults, []);
  t.is(report.kills, 1);
});

test.serial(
  'processes that work in one new folder at the same moment lose nothing, even if one is killed',
  async (t) => {
    const { faults, kills } = await crowd(await temporaryFolder(t), { rounds: 8, members: 5, seed: 1 });
    t.deepEqual(faults, []);
    t.true(kills > 0);
  },
);

test.serial('of commands that make the same run at the same moment one makes it, the other is refused', async (t) => {
  t.deepEqual(await crowdOfCommands(await temporaryFolder(t), 2), []);
});

test.serial('a second process is kept out of a run that goes on, whatever it wants there', async (t) => {
  const run = join(await temporaryFolder(t), 'run');
  let others: EndedHere[] = [];
  const { code } = await startIjepa(['pretrain', ...RUN, '--epochs', '40', '--out', run], {
    started: (child) => {
      whenLogged(run, 2, async () => {
        others = [await resume(run), await ijepaHere(['pretrain', ...RUN, '--out', run, '--force'])];
        child.kill('SIGTERM');
      });
    },
  });
  t.is(code, 143);
  t.like(await readRunState(runFolder(run).state), { state: 'interrupted', reason: 'SIGTERM' });
  t.is(others.length, 2);
  for (const other of others) oneMessage(t, other, /the run is in use: process \d+[\s\S]*kill \d+/);
  t.false(existsSync(join(run, 'run.lock')));
});

(canMount() ? test.serial : test.serial.skip)(
  'a full disk ends the run with one message; with more room it ends in the same bytes (needs the right to mount)',
  async (t) => {
    const folder = await temporaryFolder(t);
    const disk = mountSmall(folder, 280);
    t.teardown(() => disk?.remove());
    const run = join(folder, 'run');
    oneMessage(
      t,
      await ijepaHere(['pretrain', ...RUN, '--out', run]),
      /cannot be written: the disk is full[\s\S]*free some space/,
    );
    await allAreWhole(t, run);
    disk?.grow(20_000);
    await endsInTheSameBytes(t, run);
  },
);

test.serial('a limit on the size of files ends the run with one message; without it the run goes on', async (t) => {
  const run = join(await temporaryFolder(t), 'run');
  const args = ['pretrain', 'shapes:24', ...RUN.slice(1), '--epochs', '1', '--dim', '64', '--out', run];
  const ended = await startIjepa(args, { first: 'ulimit -f 600' }); // 300 kB
  oneMessage(
    t,
    ended,
    /latest\.safetensors cannot be written: it would be larger than the system allows[\s\S]*ulimit -f/,
  );
  t.is((await resume(run)).code, 0);
});

test.serial('a folder that is moved away in the middle of a run ends it; put back, it goes on', async (t) => {
  const folder = await temporaryFolder(t);
  const [run, away] = [join(folder, 'run'), join(folder, 'away')];
  const ended = await pretrain(run, { started: () => whenLogged(run, 4, () => void rename(run, away)) });
  oneMessage(t, ended, /run.* (does not exist|cannot be written)/);
  t.false(existsSync(run), 'nothing is made anew');
  await rename(away, run);
  await allAreWhole(t, run);
  await endsInTheSameBytes(t, run);
});

test.serial('a folder that becomes read-only in the middle of a run ends it; made writable, it goes on', async (t) => {
  const folder = await temporaryFolder(t);
  const user = ordinaryUser(folder);
  const run = join(folder, 'run');
  const checkpoints = join(run, 'checkpoints');
  const started = () => whenLogged(run, 4, () => void chmod(checkpoints, 0o500));
  oneMessage(t, await pretrain(run, { ...user, started }), /permission denied[\s\S]*change its permissions/);
  const said = await readRunState(runFolder(run).state);
  t.is(said?.state, 'failed');
  t.regex(said?.reason ?? '', /permission denied/);
  await chmod(checkpoints, 0o755);
  await allAreWhole(t, run);
  await endsInTheSameBytes(t, run);
});

test.serial('a clock that jumps back and forth changes nothing', async (t) => {
  const run = join(await temporaryFolder(t), 'run');
  t.teardown(jumpingClock());
  const { code, stderr } = await ijepaHere(['pretrain', ...RUN, '--out', run]);
  t.is(code, 0, stderr);
  t.true((await readFile(latest(run))).equals(whole));
});

test.serial('a picture that vanishes in the middle of a run counts as unreadable, and the run goes on', async (t) => {
  const folder = await temporaryFolder(t);
  const [pictures, run] = [join(folder, 'pictures'), join(folder, 'run')];
  await mkdir(pictures);
  for (let i = 0; i < 24; i++) {
    const background = { r: 10 * i, g: 100, b: 200 };
    await sharp({ create: { width: 20, height: 20, channels: 3, background } })
      .png()
      .toFile(join(pictures, `${i}.png`));
  }
  const args = ['pretrain', pictures, ...RUN.slice(1), '--epochs', '4', '--out', run];
  whenLogged(run, 4, () => void rm(join(pictures, '7.png')));
  const { code, stdout, stderr } = await ijepaHere(args);
  t.is(code, 0, stderr);
  t.regex(stdout, /1 unreadable image, listed in/);
  t.regex(await readFile(join(run, 'skipped.txt'), 'utf8'), /7\.png\t[^\n]+\n$/);
});

test.serial('with logs that were cut and filled with garbage a run goes on and ends in the same bytes', async (t) => {
  const run = join(await temporaryFolder(t), 'run');
  await cp(undisturbed, run, { recursive: true });
  const { checkpoints } = runFolder(run);
  await rename(previousCheckpoint(checkpoints), latestCheckpoint(checkpoints)); // as if it had not been saved again
  for (const name of ['log.jsonl', 'log.csv']) {
    const path = join(run, name);
    await truncate(path, (await readFile(path)).length - 40);
    await appendFile(path, Buffer.from('{"step":3}\n\0\0\xff{"epoch":1,"step":2,"lo', 'latin1'));
  }
  await endsInTheSameBytes(t, run);
  const rows = (await readFile(join(run, 'log.jsonl'), 'utf8')).trimEnd().split('\n');
  const steps = rows.map((line) => JSON.parse(line).step);
  t.deepEqual(
    steps,
    [...new Set(steps)].sort((a, b) => a - b),
    'each step once, in order',
  );
  t.is(steps.at(-1), 12);
});

/** Holds that a command ended with exit code 2 and one message without a stack. */
function oneMessage(t: ExecutionContext, { code, stderr }: EndedHere, message: RegExp): void {
  t.is(code, 2, stderr);
  t.regex(stderr, message);
  t.notRegex(stderr, /\n {4}at /);
  t.is(stderr.match(/^ijepa: /gm)?.length, 1, stderr);
}

async function allAreWhole(t: ExecutionContext, run: string): Promise<void> {
  for (const path of checkpointsOf(run)) await t.notThrowsAsync(() => readSafetensors(path), path);
}

async function endsInTheSameBytes(t: ExecutionContext, run: string): Promise<void> {
  const { code, stderr, stdout } = await resume(run);
  t.is(code, 0, stderr + stdout);
  t.true((await readFile(latest(run))).equals(whole));
  t.like(await readRunState(runFolder(run).state), { state: 'done', reason: null, savedStep: 12 });
}
