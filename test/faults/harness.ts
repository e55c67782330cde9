import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { UNFINISHED } from '../../core/base/atomic.js';
import { RandomStream } from '../../core/base/random.js';
import { bestCheckpoint, latestCheckpoint, previousCheckpoint } from '../../core/checkpoint/folder.js';
import { readSafetensors } from '../../core/checkpoint/safetensors.js';
import { type RunFolder, runFolder } from '../../core/run/run-folder.js';
import { ijepaHere, SMALLEST } from '../helpers/command.js';
import type { Launcher } from '../helpers/launchers.js';
import { differences } from './differences.js';
import { planKill, startAndKill } from './kills.js';

/** What came of a number of kills. */
export interface KillReport {
  kills: number;
  /** Starts with --resume. */
  resumes: number;
  /** Runs that were killed again and again, and at last ended. */
  runs: number;
  /** What the process was doing when it was killed, by what it left. */
  hits: Record<string, number>;
  /** What was not as in the undisturbed run, or not whole after a kill; empty where all is well. */
  faults: string[];
}

interface KillOptions {
  kills: number;
  seed: number;
  engine?: string;
  /** The arguments of `pretrain`: data and model. */
  of?: readonly string[];
  /** How a run that is done differs from the undisturbed one. */
  compare?: typeof differences;
  /** Where a run has several processes, what starts them, and how many; a random one is killed. */
  launcher?: Launcher | null;
  count?: number;
}

/** Steps enough for a run to be killed many times, and saves so often that much of its time goes into them. */
const OFTEN = '--epochs 4 --save-every-steps 2 --save-every-epochs 1'.split(' ');
const RUN = [...SMALLEST, '--mask-group', '3'];
/** Kills of one run, at most. */
const MOST_A_RUN = 12;

/**
 * Kills real runs with SIGKILL at random moments, goes on with them until they are done, and compares each with a run that
 * nobody disturbed: the checkpoints byte for byte, the logs line by line.
 * @param said is told of each kill
 */
export async function killAndResume(
  folder: string,
  { kills, seed, engine = 'wasm', of = RUN, compare = differences, launcher = null, count = 2 }: KillOptions,
  said: (text: string) => void = () => {},
): Promise<KillReport> {
  const args = ['pretrain', ...OFTEN, ...of, '--engine', engine];
  const whole = runFolder(join(folder, 'whole'));
  const report: KillReport = { kills: 0, resumes: 0, runs: 0, hits: {}, faults: [] };
  const ranksOf = (victim: number) => launcher && { launcher, count, victim };
  /** Starts what nobody kills: in this process, where it has no ranks. */
  const toItsEnd = async (words: readonly string[], run: RunFolder) => {
    if (launcher) return startAndKill(words, run, null, ranksOf(0));
    const { code, stdout, stderr } = await ijepaHere(words);
    return { killed: false, code, output: stdout + stderr };
  };
  const undisturbed = await toItsEnd([...args, '--out', whole.path], whole);
  if (undisturbed.code !== 0) throw new Error(undisturbed.output);
  while (report.kills < kills) {
    const run = runFolder(join(folder, `killed-${++report.runs}`));
    await mkdir(run.checkpoints, { recursive: true }); // there, so that it can be watched
    for (let ofRun = 0, ended = false; !ended; ) {
      const plan =
        report.kills < kills && ofRun < MOST_A_RUN
          ? planKill(new RandomStream(seed, 'kill', report.runs, ofRun))
          : null;
      const victim = new RandomStream(seed, 'victim', report.runs, ofRun).integer(0, count - 1);
      const resumes = existsSync(run.config);
      if (resumes) report.resumes++;
      const words = [...(resumes ? ['pretrain', '--resume'] : args), '--out', run.path];
      const { killed, code, output } = plan
        ? await startAndKill(words, run, plan, ranksOf(victim))
        : await toItsEnd(words, run);
      ended = !killed;
      if (killed) {
        ofRun++;
        report.kills++;
        const hit = describeLeftOver(run);
        report.hits[hit] = (report.hits[hit] ?? 0) + 1;
        report.faults.push(...(await faultsAfterKill(run)));
        said(`kill ${report.kills}: ${hit}`);
      } else if (code !== 0) report.faults.push(`run ${report.runs} ended with code ${code}: ${output}`);
    }
    report.faults.push(...(await compare(run, whole)));
    await rm(run.path, { recursive: true });
  }
  return report;
}

/** What a process was doing when it was killed. */
function describeLeftOver(run: RunFolder): string {
  const names = [...readdirSync(run.path), ...readdirSync(run.checkpoints)];
  const unfinished = names.find((name) => name.endsWith(UNFINISHED));
  if (unfinished?.startsWith('run.lock')) return 'locking';
  if (unfinished?.startsWith('latest')) {
    return names.some((name) => name.startsWith('previous') && name.endsWith(UNFINISHED))
      ? 'before the renames of a checkpoint'
      : 'writing a checkpoint';
  }
  if (unfinished?.startsWith('previous')) return 'between the renames of a checkpoint';
  if (unfinished?.startsWith('epoch')) return 'keeping the checkpoint of an epoch';
  if (unfinished?.startsWith('best')) return 'keeping the best checkpoint';
  if (unfinished) return `writing ${unfinished.split('.').slice(0, -2).join('.')}`;
  if (!names.includes('run.lock')) return 'before the lock, or after it was given back';
  if (!existsSync(run.log) || !existsSync(run.table)) return 'starting';
  const [rows, lines] = [run.log, run.table].map((path) => readFileSync(path, 'utf8').split('\n').length - 1);
  if (rows !== (lines ?? 0) - 1) return 'between the two logs';
  return 'computing';
}

/** After a kill, checkpoints have to be whole, and the log has to have their steps. */
async function faultsAfterKill(run: RunFolder): Promise<string[]> {
  const faults: string[] = [];
  for (const path of [latestCheckpoint, previousCheckpoint, bestCheckpoint].map((of) => of(run.checkpoints))) {
    if (!existsSync(path)) continue;
    try {
      const { metadata } = await readSafetensors(path);
      const logged = readFileSync(run.log, 'utf8').split('\n').length - 1;
      if (logged < Number(metadata.step)) faults.push(`${path} is of step ${metadata.step}, the log has ${logged}`);
    } catch (error) {
      faults.push(String(error));
    }
  }
  return faults;
}
