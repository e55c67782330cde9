import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { bestCheckpoint, latestCheckpoint } from '../../core/checkpoint/folder.js';
import { readSafetensors } from '../../core/checkpoint/safetensors.js';
import { runFolder } from '../../core/run/run-folder.js';
import { readRunLog } from '../../core/run/run-log.js';
import { ijepa } from '../helpers/command.js';

/*
 * What an online probe costs: the same run with and without it, in turn, each a process of its own.
 * `npm run bench:online-probe`, or `npm run bench:online-probe -- PAIRS IMAGES ARGUMENTS-OF-PRETRAIN...`
 */
const [pairs = '2', images = '600', ...given] = process.argv.slice(2);
const probe = ['--probe', 'shapes:4000', '--probe-images', images];
const run = given.length > 0 ? given : 'shapes:2048 --preset cpu-small --epochs 12'.split(' ');

const say = (text: string) => process.stdout.write(`${text}\n`);
const folder = await mkdtemp(join(tmpdir(), 'ijepa-bench-'));
const place = (name: string) => runFolder(join(folder, name));

/** Seconds that a run takes, from the start of its process to its end. */
async function secondsOf(name: string, more: readonly string[]): Promise<number> {
  const started = performance.now();
  const { code, stderr } = await ijepa(['pretrain', ...run, ...more, '--out', join(folder, name), '--force']);
  if (code !== 0) throw new Error(stderr);
  return (performance.now() - started) / 1000;
}

/** The bytes of what was trained. */
async function weightsOf(name: string): Promise<string> {
  const { tensors } = await readSafetensors(latestCheckpoint(place(name).checkpoints));
  return JSON.stringify([...tensors].map(([key, { data }]) => [key, Buffer.from(data.buffer).toString('base64')]));
}

try {
  say(`pretrain ${run.join(' ')}, with ${probe.join(' ')} and without, load ${loadavg()[0]?.toFixed(1)}`);
  for (let pair = 1; pair <= Number(pairs); pair++) {
    const without = await secondsOf('without', []);
    const withProbe = await secondsOf('with', probe);
    const log = readRunLog(place('with'));
    const probed = log.flatMap(({ probeSeconds }) => probeSeconds ?? []);
    const training = log.reduce((sum, { seconds }) => sum + seconds, 0);
    const part = (100 * probed.reduce((sum, seconds) => sum + seconds, 0)) / training;
    say(
      `  without ${without.toFixed(1)} s, with ${withProbe.toFixed(1)} s (${(100 * (withProbe / without - 1)).toFixed(1)}%); ` +
        `${probed.length} probes beside the first one took ${part.toFixed(1)}% of the steps' time; ` +
        `the same weights: ${(await weightsOf('with')) === (await weightsOf('without')) ? 'yes' : 'NO'}; load ${loadavg()[0]?.toFixed(1)}`,
    );
  }
  const state = JSON.parse(await readFile(place('with').state, 'utf8'));
  say(`best: ${JSON.stringify(state.probe)}, ${bestCheckpoint(place('with').checkpoints)}`);
} finally {
  await rm(folder, { recursive: true, force: true });
}
