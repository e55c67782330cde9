import { chmod, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { minutesOf } from '../../core/run/slurm.js';
import { ijepa, ijepaHere, startProgram, temporaryFolder } from '../helpers/command.js';
import { COMMAND } from '../helpers/paths.js';

const OUT = "runs/it's $HOME\n`big`";
const WORDS = ['shapes:48', '--out', OUT, '--batch-size', '8'];

/** Programs of Slurm that write down how they were called; srun ends with the code that stands in a file. */
async function fakeSlurm(t: ExecutionContext) {
  const folder = await temporaryFolder(t);
  const bin = join(folder, 'bin');
  await mkdir(bin);
  const note = (name: string) => `#!/bin/sh\nprintf '%s\\0' "$@" > '${join(folder, name)}'\n`;
  await writeFile(join(bin, 'srun'), `${note('srun.args')}exit "$(cat '${join(folder, 'code')}')"\n`);
  await writeFile(join(bin, 'scontrol'), note('scontrol.args'));
  for (const name of ['srun', 'scontrol']) await chmod(join(bin, name), 0o755);
  const argumentsOf = async (name: string) => {
    const text = await readFile(join(folder, `${name}.args`), 'utf8').catch(() => '');
    await rm(join(folder, `${name}.args`), { force: true });
    return text.split('\0').slice(0, -1);
  };
  return {
    folder,
    /** Lets the script run as a job whose ranks end with a code. */
    async start(code: number) {
      await writeFile(join(folder, 'code'), String(code));
      const env = { PATH: `${bin}:${process.env.PATH}`, SLURM_JOB_ID: '17', SLURM_CPUS_ON_NODE: '64' };
      const ended = await startProgram(['bash', join(folder, 'job.sbatch')], { env, cwd: '/' });
      return { ...ended, srun: await argumentsOf('srun'), scontrol: await argumentsOf('scontrol') };
    },
  };
}

test.serial(
  'a job starts the run, is queued again at its time limit, and goes on; any other end is its own',
  async (t) => {
    const { folder, start } = await fakeSlurm(t);
    const { code, stdout, stderr } = await ijepa(['slurm', '--ranks-per-node', '4', '--', ...WORDS], folder);
    t.is(code, 0, stderr);
    await writeFile(join(folder, 'job.sbatch'), stdout);
    t.is((await startProgram(['bash', '-n', join(folder, 'job.sbatch')])).code, 0);
    const launch = ['--kill-on-bad-exit=1', '--cpus-per-task=16', 'node', COMMAND, 'pretrain'];

    const first = await start(143);
    t.deepEqual(first.srun, [...launch, ...WORDS], first.stderr);
    t.deepEqual(first.scontrol, ['requeue', '17']);
    t.is(first.code, 0);

    await mkdir(join(folder, OUT), { recursive: true });
    await writeFile(join(folder, OUT, 'config.yaml'), '');
    const second = await start(0);
    t.deepEqual(second.srun, [...launch, '--resume', ...WORDS]);
    t.deepEqual([second.scontrol, second.code], [[], 0]);

    for (const failed of [1, 2, 137]) {
      const ended = await start(failed);
      t.deepEqual([ended.scontrol, ended.code], [[], failed]);
    }
  },
);

test.serial('what sbatch is told comes from the options', async (t) => {
  const options =
    '--nodes 4 --cores 8 --time 1-12 --partition long,short --account me --signal-minutes 2.5 --pmi pmix --sbatch qos=high nice --json';
  const { code, stdout, stderr } = await ijepaHere(['slurm', ...options.split(' '), '--', ...WORDS]);
  t.is(code, 0, stderr);
  const { name, ranks, out, script } = JSON.parse(stdout);
  t.deepEqual({ name, ranks, out }, { name: 'it-s-HOME-big', ranks: 4, out: OUT });
  t.deepEqual(script.match(/(?<=^#SBATCH --).*$/gm), [
    ...['job-name=it-s-HOME-big', 'output=it-s-HOME-big-%j.out', 'open-mode=append', 'nodes=4', 'ntasks-per-node=1'],
    ...['cpus-per-task=8', 'time=1-12', 'partition=long,short', 'account=me', 'signal=TERM@150', 'requeue'],
    ...['qos=high', 'nice'],
  ]);
  t.regex(script, /^srun --kill-on-bad-exit=1 --cpus-per-task=8 --mpi=pmix node /m);
});

test.serial(
  'a folder that a configuration file names is said, since a run that goes on does not read that file',
  async (t) => {
    const folder = await temporaryFolder(t);
    await writeFile(join(folder, 'ijepa.config.yaml'), 'out: runs/named\n');
    const { code, stdout, stderr } = await ijepaHere(['slurm', '--', 'shapes:48'], folder);
    t.is(code, 0, stderr);
    t.regex(stdout, /^set -- --out runs\/named shapes:48$/m);
  },
);

test.serial('what pretrain or Slurm would refuse is refused before anything is printed', async (t) => {
  for (const [own, words, message] of [
    [[], ['shapes:48'], /no folder for the run was named/],
    [[], [...WORDS, '--epocs', '2'], /unknown option '--epocs'[\s\S]*Did you mean --epochs/],
    [[], [...WORDS, '--epochs', 'x'], /--epochs cannot be "x"/],
    [[], [...WORDS, '--preset', 'papr'], /unknown preset 'papr'/],
    [[], [...WORDS, '--resume'], /--resume cannot stand in a script/],
    [[], [...WORDS, '--force'], /--force cannot stand in a script/],
    [['--nodes', '9'], WORDS, /a batch of 8 images is less than one for each of 9 ranks/],
    [['--time', 'soon'], WORDS, /--time cannot be "soon"/],
    [['--time', '5'], WORDS, /--time 5 is not longer than --signal-minutes 5/],
    [['--partition', 'a b'], WORDS, /--partition cannot be "a b"/],
    [['--sbatch', 'comment=a b'], WORDS, /--sbatch cannot be "comment=a b"/],
  ] as const) {
    const { code, stdout, stderr } = await ijepaHere(['slurm', ...own, '--', ...words]);
    t.is(code, 2, stderr);
    t.is(stdout, '');
    t.regex(stderr, message);
    t.is(stderr.match(/^ijepa: /gm)?.length, 1, stderr);
  }
});

test("Slurm's forms of a time limit are understood", (t) => {
  for (const [time, minutes] of [
    ['90', 90],
    ['90:30', 90.5],
    ['24:00:00', 1440],
    ['2-12', 3600],
    ['2-12:30', 3630],
    ['0-0:0:30', 0.5],
    ['1h', null],
    ['', null],
  ] as const) {
    t.is(minutesOf(time), minutes, time);
  }
});
