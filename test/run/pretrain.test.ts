import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { chmod, cp, mkdir, mkdtemp, readdir, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import sharp from 'sharp';
import { parse, stringify } from 'yaml';
import { readSafetensors } from '../../core/checkpoint/safetensors.js';
import { schemaOf } from '../../core/config/schema.js';
import type { MethodDefinition } from '../../core/methods/method.js';
import { METHODS } from '../../core/methods/registry.js';
import { runFolder } from '../../core/run/run-folder.js';
import type { LogRow } from '../../core/run/run-log.js';
import { type Ended, type EndedHere, ijepa, ijepaHere, SMALLEST, temporaryFolder } from '../helpers/command.js';
import { checkpointsOf, stoppedHere, whenLogged } from '../helpers/faults.js';

/** The rows of a run's log.jsonl. */
function logOf(run: string): LogRow[] {
  return readFileSync(join(run, 'log.jsonl'), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
}

const latest = (run: string) => join(run, 'checkpoints', 'latest.safetensors');
/** Whether these are the bytes of a run's newest checkpoint. AVA would compare them one by one. */
const isCheckpointOf = (run: string, bytes: Buffer) => readFileSync(latest(run)).equals(bytes);
const pretrain = (run: string, ...more: string[]) => ijepaHere(['pretrain', ...SMALLEST, '--out', run, ...more]);

/** Runs that nobody disturbed, of four epochs and of one. */
let finished: Record<'four' | 'one', string>;

test.before(async () => {
  const folder = await mkdtemp(join(tmpdir(), 'ijepa-test-'));
  finished = { four: join(folder, 'four'), one: join(folder, 'one') };
  await pretrain(finished.four, '--epochs', '4');
  await pretrain(finished.one, '--epochs', '1');
});

test.after.always(() => rm(join(finished.one, '..'), { recursive: true, force: true }));

/** A copy of such a run, to be changed. */
async function copyOf(t: ExecutionContext, epochs: 'four' | 'one'): Promise<string> {
  const run = join(await temporaryFolder(t), 'run');
  await cp(finished[epochs], run, { recursive: true });
  return run;
}

/** Starts a run and sends it a signal as soon as its log has so many lines. */
async function stoppedAfter(steps: number, signal: NodeJS.Signals, run: string, ...more: string[]): Promise<Ended> {
  return ijepa(['pretrain', ...SMALLEST, '--out', run, ...more], undefined, (child) => {
    child.on(
      'exit',
      whenLogged(run, steps, () => child.kill(signal)),
    );
  });
}

test.serial('a run leaves a folder with everything in it and says what it did', async (t) => {
  const run = join(await temporaryFolder(t), 'deep', 'run');
  const { code, stdout, stderr } = await pretrain(
    run,
    '--epochs',
    '3',
    '--save-every-epochs',
    '1',
    '--keep-checkpoints',
    '2',
  );
  t.is(code, 0, stderr);
  t.regex(stdout, /no term against collapse/);
  t.regex(
    stdout,
    /done: 18 steps[\s\S]*loss +[\d.]+ -> [\d.]+[\s\S]*effective rank[\s\S]*masks\.png[\s\S]*curves\.png/,
  );
  t.deepEqual((await readdir(run)).sort(), [
    'checkpoints',
    'config.yaml',
    'curves.png',
    'log.csv',
    'log.jsonl',
    'masks.png',
    'state.json',
    'tensorboard',
  ]);
  t.deepEqual((await readdir(join(run, 'checkpoints'))).sort(), [
    'epoch-0002.safetensors',
    'epoch-0003.safetensors',
    'latest.safetensors',
    'previous.safetensors',
  ]);
  const log = logOf(run);
  t.deepEqual(
    log.map(({ step }) => step),
    [...Array(18).keys()].map((at) => at + 1),
  );
  t.deepEqual([log[0]?.epoch, log[5]?.epoch, log[6]?.epoch, log[17]?.epoch], [1, 1, 2, 3]);
  t.true(log.every(({ loss, gradientNorm }) => Number.isFinite(loss) && gradientNorm > 0));
  t.deepEqual(
    log.filter(({ featureRank }) => featureRank !== null).map(({ step }) => step),
    [4, 8, 12, 16, 18],
  );
  const table = (await readFile(join(run, 'log.csv'), 'utf8')).trimEnd().split('\n');
  t.deepEqual(table[0]?.split(','), columnsOf(log[0] ?? {}));
  t.is(table.length, 19);
  for (const picture of ['masks.png', 'curves.png']) {
    const { width, height } = await sharp(join(run, picture)).metadata();
    t.true(width > 500 && height > 500, picture);
  }
  const config = await readFile(join(run, 'config.yaml'), 'utf8');
  for (const line of [/^epochs: 3$/m, /^imageSize: 16$/m, /name: wasm/, /fingerprint: [0-9a-f]{64}/, /node: \d/])
    t.regex(config, line);
  const { metadata, tensors } = await readSafetensors(latest(run));
  t.is(metadata.step, '18');
  t.deepEqual(tensors.get('target_encoder.patch_embed.proj.weight')?.shape, [16, 3, 4, 4]);
});

test.serial(
  'a run as long as images are to be seen is the run of so many epochs, interrupted or not, and says so',
  async (t) => {
    const run = join(await temporaryFolder(t), 'run');
    const seen = ['--images-seen', '5300', '--warmup-epochs', '110']; // 48 images an epoch: 110.4
    const { code, stdout } = await stoppedHere(['pretrain', ...SMALLEST, '--out', run, ...seen], run, 3);
    t.is(code, 143);
    t.regex(stdout, /^length {5}about 5,300 images: 110 epochs of 48$/m);
    t.regex(await readFile(join(run, 'config.yaml'), 'utf8'), /^epochs: 110\nimagesSeen: 5300$/m);
    await refused(t, ['pretrain', '--out', run, '--resume', '--images-seen', '96'], /--images-seen cannot change/);

    const [none, stopped] = [join(run, '..', 'none'), join(run, '..', 'stopped')];
    const args = ['pretrain', ...SMALLEST, '--out', stopped, '--images-seen', '50'];
    t.is((await stoppedHere(args, stopped, 2)).code, 143);
    t.is((await ijepaHere([...args, '--resume'])).code, 0);
    t.true(isCheckpointOf(stopped, readFileSync(latest(finished.one))));
    const [listed] = JSON.parse((await ijepaHere(['runs', stopped, '--json'])).stdout).runs;
    t.deepEqual([listed.state, listed.epochs, listed.totalSteps], ['done', 1, 6]);

    const short = ['pretrain', ...SMALLEST, '--out', none, '--images-seen', '1', '--warmup-epochs', '2'];
    await refused(t, short, /a warm-up of 2 epochs does not fit into a run of 1\b/);
    t.false(existsSync(none), 'at least one epoch, and nothing is written');

    const few = join(run, '..', 'few'); // images, fewer than a batch
    const ofFew = ['pretrain', 'shapes:5', ...SMALLEST.slice(1), '--out', few, '--images-seen', '15'];
    const begun = await stoppedHere(ofFew, few, 1);
    t.regex(begun.stdout, /^run .* 3 epochs of batches of 5, all images, 3 steps$/m);
    t.is((await ijepaHere([...ofFew, '--resume'])).code, 0);
    t.is(logOf(few).length, 3);
  },
);

test.serial('the loss of the plain objective falls on generated pictures', (t) => {
  const losses = logOf(finished.four).map(({ loss }) => loss);
  const mean = (part: number[]) => part.reduce((sum, loss) => sum + loss, 0) / part.length;
  t.true(mean(losses.slice(-6)) < 0.95 * mean(losses.slice(0, 6)), `from ${losses[0]} to ${losses.at(-1)}`);
});

test.serial(
  'a run that was killed goes on from its last checkpoint and ends in the same bytes, its log without gap or double, even if it is older than most options',
  async (t) => {
    const folder = await temporaryFolder(t);
    const [whole, killed] = [finished.four, join(folder, 'killed')];
    const { signal } = await stoppedAfter(15, 'SIGKILL', killed, '--epochs', '4');
    t.is(signal, 'SIGKILL');
    t.true(logOf(killed).length < 24, 'it was killed in the middle');
    t.true((await makeOlder(killed)) > OPTIONS.length / 2);
    const { code, stdout, stderr } = await ijepaHere(['pretrain', '--out', killed, '--resume']);
    t.is(code, 0, stderr);
    t.regex(stdout, /going on after step \d+/);
    t.deepEqual(
      logOf(killed).map(({ step }) => step),
      [...Array(24).keys()].map((at) => at + 1),
    );
    t.true(isCheckpointOf(killed, readFileSync(latest(whole))));
    const values = (run: string) =>
      logOf(run).map(({ loss, terms, method, rates, operations, featureStd, featureRank }) => {
        return { loss, terms, method, rates, operations, featureStd, featureRank };
      });
    t.deepEqual(values(killed), values(whole));
  },
);

test.serial(
  'a run ends with a sentence on whether representations have collapsed, everywhere; with --json standard output is one document and nothing else',
  async (t) => {
    const folder = await temporaryFolder(t);
    const runs = {
      collapsed: ['--ema', '0', '--final-ema', '0', '--learning-rate', '0.02'],
      well: ['--regularizer', 'vicreg', '--learning-rate', '0.003'],
    };
    const shown: string[] = [];
    for (const [name, options] of Object.entries(runs)) {
      const run = join(folder, name);
      const { code, stdout, stderr } = await pretrain(run, '--json', '--epochs', '3', ...options);
      t.is(code, 0, stderr);
      const { verdicts, ...summary } = JSON.parse(stdout);
      t.deepEqual(
        [summary.steps, summary.totalSteps, summary.interrupted, summary.engine.name],
        [18, 18, null, 'wasm'],
      );
      t.regex(stderr, /step 18\/18/);
      t.is(/a term against collapse that the paper does not have/.test(stderr), name === 'well');
      t.deepEqual(JSON.parse(await readFile(join(run, 'state.json'), 'utf8')).verdicts, verdicts);
      t.is(verdicts.collapse.isWell, name === 'well', verdicts.collapse.text);
      const text: string = verdicts.collapse.text;
      t.true(stderr.includes(`verdict    ${text}\n`));
      t.regex(text, name === 'well' ? /have not collapsed.* at step 18/ : /have collapsed: at step 18/);
      t.is(/representations are collapsing/.test(stderr), name !== 'well');
      shown.push(text);
    }
    const again = await ijepaHere(['pretrain', '--out', join(folder, 'collapsed'), '--resume']);
    t.true(again.stdout.includes(shown[0] as string), 'a run that was complete before still says it');
    const { stdout } = await ijepaHere(['runs', folder]);
    t.regex(stdout, /^collapsed +done .* collapse! /m);
    t.regex(stdout, /^well +done .* no collapse /m);
    t.true(stdout.endsWith(`\n\ncollapsed: ${shown[0]}\n`));
  },
);

test.serial(
  'on the fastest engine, too, a run that was stopped ends in the same bytes, with mask groups, and blocks recomputed from then on',
  async (t) => {
    const folder = await temporaryFolder(t);
    const [whole, stopped] = [join(folder, 'whole'), join(folder, 'stopped')];
    const args = [
      ...['pretrain', 'shapes:24', ...SMALLEST.slice(1), '--engine', 'auto', '--epochs', '2'],
      ...'--regularizer vicreg --micro-batch-size 3 --mask-group 5'.split(' '),
    ];
    t.is((await ijepaHere([...args, '--out', whole])).code, 0);
    t.is((await stoppedHere([...args, '--out', stopped], stopped, 2)).code, 143);
    t.is((await ijepaHere(['pretrain', '--out', stopped, '--resume', '--recompute'])).code, 0);
    t.regex(await readFile(join(stopped, 'config.yaml'), 'utf8'), /^recompute: true$/m);
    t.true(isCheckpointOf(stopped, readFileSync(latest(whole))));
  },
);

/** Holds that a run was stopped by a signal after so many steps at least, and kept all that was done. */
async function heldAt(t: ExecutionContext, run: string, steps: number, { stdout }: Pick<Ended, 'stdout'>) {
  t.regex(stdout, /npx ijepa pretrain --out .*stopped --resume/);
  const saved = Number((await readSafetensors(latest(run))).metadata.step);
  t.is(logOf(run).at(-1)?.step, saved, 'nothing that was done is lost');
  t.true(saved >= steps && saved < 24);
}

test.serial(
  'SIGINT, SIGTERM and SIGHUP finish the step, save, say how to go on and exit with 130, 143 and 129; the run then ends in the same bytes',
  async (t) => {
    const stopped = join(await temporaryFolder(t), 'stopped');
    const first = await stoppedAfter(5, 'SIGINT', stopped, '--epochs', '4');
    t.is(first.code, 130);
    await heldAt(t, stopped, 5, first);
    const resume = ['pretrain', '--out', stopped, '--resume'];
    for (const [signal, exitCode, steps] of [
      ['SIGTERM', 143, 10],
      ['SIGHUP', 129, 15],
    ] as const) {
      const ended = await stoppedHere(resume, stopped, steps, signal);
      t.is(ended.code, exitCode);
      await heldAt(t, stopped, steps, ended);
    }
    t.is((await ijepaHere(resume)).code, 0);
    t.true(isCheckpointOf(stopped, readFileSync(latest(finished.four))));
  },
);

test.serial('a run that was stopped before its first checkpoint starts over in its folder', async (t) => {
  const run = join(await temporaryFolder(t), 'run');
  await stoppedAfter(2, 'SIGKILL', run, '--epochs', '1', '--batch-size', '4');
  t.false(existsSync(latest(run)));
  t.is((await ijepaHere(['pretrain', '--out', run, '--resume'])).code, 0);
  t.deepEqual(
    logOf(run).map(({ step }) => step),
    [...Array(12).keys()].map((at) => at + 1),
  );
});

test.serial('a run that is there is neither overwritten nor mixed up', async (t) => {
  const run = await copyOf(t, 'one');
  const before = await readFile(latest(run));
  await refused(
    t,
    ['pretrain', ...SMALLEST, '--out', run, '--epochs', '1'],
    /already holds a run[\s\S]*--resume[\s\S]*--force/,
  );
  await refused(t, ['pretrain', ...SMALLEST, '--out', run, '--resume', '--epochs', '2'], /--epochs cannot change/);
  await refused(t, ['pretrain', 'shapes:50', '--out', run, '--resume'], /not those that the run/);
  t.true(isCheckpointOf(run, before));
  t.false(existsSync(join(run, 'run.lock')), 'a refusal gives the lock back');
  const done = await ijepaHere(['pretrain', '--out', run, '--resume']);
  t.is(done.code, 0);
  t.regex(done.stdout, /the run is complete: all 6 steps were done before/);
  t.is((await pretrain(run, '--epochs', '1', '--seed', '1', '--force')).code, 0);
  t.notDeepEqual(await readFile(latest(run)), before);
});

test.serial('a folder that holds something else is never touched, even with --force', async (t) => {
  const folder = await temporaryFolder(t);
  await writeFile(join(folder, 'thesis.txt'), 'x');
  await refused(t, ['pretrain', ...SMALLEST, '--out', folder, '--force'], /is not empty and holds no run/);
  t.deepEqual(await readdir(folder), ['thesis.txt']);
});

test.serial('a damaged checkpoint and one of another model are refused on resume', async (t) => {
  const run = await copyOf(t, 'one');
  for (const path of checkpointsOf(run)) await truncate(path, Math.floor(statSync(path).size / 2));
  await refused(t, ['pretrain', '--out', run, '--resume'], /latest\.safetensors is damaged/);
  t.is(logOf(run).length, 6, 'the log is as it was');
  const other = await copyOf(t, 'one');
  const config = await readFile(join(other, 'config.yaml'), 'utf8');
  await writeFile(join(other, 'config.yaml'), config.replace('dim: 16', 'dim: 32'));
  await refused(t, ['pretrain', '--out', other, '--resume'], /is of another model: its model is/);
});

test.serial('unreadable pictures in a folder are skipped, counted and listed once', async (t) => {
  const folder = await temporaryFolder(t);
  const pictures = join(folder, 'pictures');
  await mkdir(pictures);
  for (let i = 0; i < 30; i++) {
    await sharp({
      create: { width: 20 + i, height: 30, channels: 3, background: { r: 8 * i, g: 100, b: 255 - 8 * i } },
    })
      .jpeg()
      .toFile(join(pictures, `${i}.jpg`));
  }
  await truncate(join(pictures, '7.jpg'), 200);
  const args = ['pretrain', pictures, ...SMALLEST.slice(1)];
  const { code, stdout } = await ijepaHere([...args, '--out', join(folder, 'run'), '--epochs', '2']);
  t.is(code, 0);
  t.regex(stdout, /1 unreadable image, listed in/);
  t.is((await readFile(join(folder, 'run', 'skipped.txt'), 'utf8')).trimEnd().split('\n').length, 1);
  await refused(
    t,
    [...args, '--out', join(folder, 'strict'), '--max-unreadable', '0.01'],
    /1 of 30 images cannot be read, more than 1%/,
  );
});

test.serial('what the user got wrong ends with exit code 2, one message and nothing written', async (t) => {
  const folder = await temporaryFolder(t);
  const out = join(folder, 'run');
  await mkdir(join(folder, 'empty'));
  const wrong: [string[], RegExp][] = [
    [[join(folder, 'nowhere')], /nowhere does not exist/],
    [[join(folder, 'empty')], /no images in/],
    [[], /no data was named/],
    [
      ['shapes', '--image-size', '30', '--patch-size', '16'],
      /30 pixels cannot be cut into patches of 16[\s\S]*--image-size 32, or --patch-size 15/,
    ],
    [['shapes', '--imge-size', '32'], /unknown option '--imge-size'[\s\S]*--image-size/],
    [['shapes', '--preset', 'dem'], /unknown preset 'dem'[\s\S]*did you mean 'demo'/],
    [
      ['shapes', '--image-size', '32', '--patch-size', '4', '--min-keep', '50'],
      /masks are impossible[\s\S]*--min-keep 9/,
    ],
    [['shapes', '--batch-size', 'many'], /--batch-size cannot be "many"/],
    [['shapes:10', '--batch-size', '64'], /a batch of 64 images is more than the 10/],
    [['shapes', '--config', join(folder, 'no.yaml')], /no\.yaml does not exist/],
    [['shapes', '--engine', 'tensorflow-gpu'], /the engine tensorflow-gpu is not available[\s\S]*--engine auto/],
    [['shapes', '--resume'], /there is no run to resume/],
    [['shapes', '--resume', '--force'], /contradict/],
  ];
  for (const [args, message] of wrong) {
    await refused(t, ['pretrain', ...args, '--out', out], message);
    t.false(existsSync(out), `nothing was written for ${args.join(' ')}`);
  }
  await refused(t, ['pretrain', ...SMALLEST], /no folder for the run was named/);
  await refused(t, ['pretrian'], /unknown command 'pretrian'[\s\S]*pretrain/);
});

test.serial('an output folder that cannot be written is named', async (t) => {
  const folder = await temporaryFolder(t);
  await writeFile(join(folder, 'file'), 'x');
  await refused(
    t,
    ['pretrain', ...SMALLEST, '--out', join(folder, 'file', 'run')],
    /is not a folder, or lies below something that is not/,
  );
  const locked = join(folder, 'locked');
  await mkdir(locked);
  await chmod(locked, 0o500);
  if (process.getuid?.() === 0)
    t.log('as root every folder can be written: the case of missing permission was left out');
  else await refused(t, ['pretrain', ...SMALLEST, '--out', join(locked, 'run')], /permission denied/);
});

test.serial('a run does not go inside the folder of its pictures', async (t) => {
  const folder = await temporaryFolder(t);
  const args = ['pretrain', folder, ...SMALLEST.slice(1), '--out', join(folder, 'run')];
  await refused(t, args, /lies inside the data/);
  t.deepEqual(await readdir(folder), []);
});

test.serial('a step that gives no finite numbers stops the run and leaves the last good checkpoint', async (t) => {
  const run = await copyOf(t, 'one');
  const good = await readFile(latest(run));
  const config = await readFile(join(run, 'config.yaml'), 'utf8');
  await writeFile(
    join(run, 'config.yaml'),
    config.replace('epochs: 1', 'epochs: 2').replace(/^learningRate: .*$/m, 'learningRate: 1e30'),
  );
  const { stderr } = await refused(
    t,
    ['pretrain', '--out', run, '--resume'],
    /step [78] did not give finite numbers \(loss .*; the last good checkpoint is .*latest\.safetensors/,
  );
  t.regex(stderr, /lower --learning-rate/);
  t.true(isCheckpointOf(run, good));
  t.true(logOf(run).every(({ loss }) => Number.isFinite(loss)));
});

test.serial('--force deletes the files of a run and nothing else, and only where there is a run', async (t) => {
  const folder = await temporaryFolder(t);
  const run = await copyOf(t, 'one');
  await writeFile(join(run, 'notes.txt'), 'mine');
  await writeFile(join(run, 'checkpoints', 'favourite.safetensors'), 'mine too');
  await writeFile(join(run, 'tensorboard', 'notes.txt'), 'mine as well');
  await refused(
    t,
    ['pretrain', ...SMALLEST, '--out', run, '--force', '--engine', 'tensorflow-gpu'],
    /tensorflow-gpu is not available/,
  );
  t.is(logOf(run).length, 6, 'the old run is there as long as the new one cannot start');
  t.is((await pretrain(run, '--epochs', '1', '--force')).code, 0);
  t.is(await readFile(join(run, 'notes.txt'), 'utf8'), 'mine');
  t.is(await readFile(join(run, 'tensorboard', 'notes.txt'), 'utf8'), 'mine as well');
  t.is(readdirSync(join(run, 'tensorboard')).length, 2, 'what TensorBoard reads is of the new run alone');
  t.is(await readFile(join(run, 'checkpoints', 'favourite.safetensors'), 'utf8'), 'mine too');

  const project = join(folder, 'project');
  await mkdir(join(project, 'checkpoints'), { recursive: true });
  await writeFile(join(project, 'config.yaml'), 'name: another program\n');
  await writeFile(join(project, 'checkpoints', 'latest.safetensors'), 'precious');
  await refused(t, ['pretrain', ...SMALLEST, '--out', project, '--force'], /no run that --force could delete/);
  t.is(await readFile(join(project, 'checkpoints', 'latest.safetensors'), 'utf8'), 'precious');
});

test.serial('what a process that died at its start left behind is no obstacle', async (t) => {
  const run = join(await temporaryFolder(t), 'run');
  await mkdir(join(run, 'checkpoints'), { recursive: true });
  await writeFile(join(run, 'config.yaml.unfinished'), 'half');
  t.is((await pretrain(run, '--epochs', '1')).code, 0);
  t.false(existsSync(join(run, 'config.yaml.unfinished')));
});

test.serial('where the newest checkpoint is damaged or missing, a run goes on from the one before it', async (t) => {
  const run = await copyOf(t, 'four');
  const whole = await readFile(latest(run));
  const aside = join(run, 'checkpoints', 'latest.damaged-1.safetensors');
  await writeFile(latest(run), 'rubbish');
  await refused(t, ['features', run, 'shapes:4', '--out', join(run, 'x.npy')], /damaged[\s\S]*previous\.safetensors/);
  const first = await ijepaHere(['pretrain', '--out', run, '--resume']);
  t.is(first.code, 0, first.stderr);
  t.regex(
    first.stdout,
    /latest\.safetensors is damaged[\s\S]*set aside as .*latest\.damaged-1[\s\S]*goes on from previous.*step 18/,
  );
  t.is(await readFile(aside, 'utf8'), 'rubbish');
  t.false((await readdir(join(run, 'checkpoints'))).some((name) => name.endsWith('.unfinished')));
  t.true(isCheckpointOf(run, whole));

  await rm(latest(run));
  await refused(t, ['features', run, 'shapes:4', '--out', join(run, 'x.npy')], /previous\.safetensors/);
  const second = await ijepaHere(['pretrain', '--out', run, '--resume']);
  t.is(second.code, 0, second.stderr);
  t.regex(second.stdout, /latest\.safetensors is missing[\s\S]*goes on from previous/);
  t.true(isCheckpointOf(run, whole));
  t.deepEqual(
    logOf(run).map(({ step }) => step),
    [...Array(24).keys()].map((at) => at + 1),
  );

  await rm(latest(run));
  await rm(join(run, 'checkpoints', 'previous.safetensors'));
  await rm(join(run, 'checkpoints', 'epoch-0004.safetensors'));
  await refused(t, ['pretrain', '--out', run, '--resume'], /latest\.safetensors is missing/);
  t.is(logOf(run).length, 24, 'nothing starts over');
});

test.serial('a checkpoint of a model with other heads is refused, although its shapes fit', async (t) => {
  const run = await copyOf(t, 'one');
  const config = await readFile(join(run, 'config.yaml'), 'utf8');
  await writeFile(join(run, 'config.yaml'), config.replace('heads: 2', 'heads: 1'));
  await refused(t, ['pretrain', '--out', run, '--resume'], /is of another model: its model is/);
});

test.serial(
  'a run goes on where its pictures were moved to, and without the configuration of the folder',
  async (t) => {
    const folder = await temporaryFolder(t);
    const run = join(folder, 'run');
    const pictures = join(folder, 'pictures');
    await mkdir(pictures);
    for (let i = 0; i < 8; i++) {
      const background = { r: 30 * i, g: 100, b: 200 };
      await sharp({ create: { width: 20, height: 20, channels: 3, background } })
        .png()
        .toFile(join(pictures, `${i}.png`));
    }
    t.is((await ijepaHere(['pretrain', pictures, ...SMALLEST.slice(1), '--out', run, '--epochs', '2'])).code, 0);
    const moved = join(folder, 'moved');
    await rename(pictures, moved);
    await writeFile(join(folder, '.ijeparc.yaml'), 'epochs: 99\n');
    await refused(t, ['pretrain', '--out', run, '--resume'], /pictures does not exist/);
    const { code, stderr } = await ijepaHere(['pretrain', moved, '--out', run, '--resume'], folder);
    t.is(code, 0, stderr);
    t.regex(await readFile(join(run, 'config.yaml'), 'utf8'), /^data:\n {2}- .*moved$/m);
  },
);

test.serial('a reader of standard output that goes away does not stop a run', async (t) => {
  const run = join(await temporaryFolder(t), 'run');
  const args = ['pretrain', 'shapes:16', ...SMALLEST.slice(1), '--out', run, '--epochs', '1'];
  const { code } = await ijepa(args, undefined, (child) => {
    child.stdout?.destroy();
    child.stderr?.destroy();
  });
  t.is(code, 0);
  t.is(logOf(run).length, 2);
});

/** Runs a command that must end with exit code 2, one message on standard error and no stack. */
async function refused(t: ExecutionContext, args: string[], message: RegExp): Promise<EndedHere> {
  const ended = await ijepaHere(args);
  t.is(ended.code, 2, `${args.join(' ')}\n${ended.stderr}`);
  t.regex(ended.stderr, message);
  t.notRegex(ended.stderr, /\n {4}at /);
  t.is(ended.stderr.match(/^ijepa: /gm)?.length, 1, ended.stderr);
  return ended;
}

/** The columns of a table with what a row has: 'terms.prediction'. */
function columnsOf(row: object): string[] {
  return Object.entries(row).flatMap(([name, value]) =>
    typeof value === 'object' && value !== null ? columnsOf(value).map((own) => `${name}.${own}`) : [name],
  );
}

const OPTIONS = Object.entries(schemaOf(METHODS[0] as MethodDefinition));

/** Takes out of a run's record what an older version, without those options, would not have recorded. @returns how many */
async function makeOlder(run: string): Promise<number> {
  const path = runFolder(run).config;
  const record: Record<string, unknown> = parse(await readFile(path, 'utf8'));
  const younger = OPTIONS.filter(([name, { default: usual }]) => {
    if (name === 'method') return false; // every version has recorded it
    const value = record[name] === 'auto' ? null : record[name];
    return JSON.stringify(value) === JSON.stringify(usual);
  });
  for (const [name] of younger) delete record[name];
  await writeFile(path, stringify(record));
  return younger.length;
}
