import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { runFolder } from '../../core/run/run-folder.js';
import { readRunLog } from '../../core/run/run-log.js';
import { ijepa, SMALLEST, temporaryFolder } from '../helpers/command.js';
import { whenLogged } from '../helpers/faults.js';
import { peerTest, runPeer } from '../helpers/peer.js';

/** What tensorboard.py prints. */
interface Found {
  scalars: Record<string, [step: number, value: number][]>;
  images: Record<string, [step: number, width: number, height: number][]>;
  texts: Record<string, [step: number, text: string][]>;
}

peerTest('tensorboard', 'TensorBoard reads a run that was killed and went on, each step once', async (t) => {
  const run = runFolder(join(await temporaryFolder(t), 'run'));
  await ijepa(['pretrain', ...SMALLEST, '--epochs', '12', '--out', run.path], undefined, (child) => {
    child.on(
      'exit',
      whenLogged(run.path, 10, () => child.kill('SIGKILL')),
    );
  });
  t.true(readRunLog(run).length < 72);
  t.is((await ijepa(['pretrain', '--out', run.path, '--resume'])).code, 0);
  const { scalars, images, texts }: Found = JSON.parse(await runPeer('tensorboard.py', run.tensorboard));
  const log = readRunLog(run);
  const single = (values: [number, number][]) => values.map(([step, value]) => [step, Math.fround(value)]);
  t.is(log.length, 72);
  t.is(Object.keys(scalars).length, 15);
  t.deepEqual(scalars.loss, single(log.map(({ step, loss }) => [step, loss])));
  t.deepEqual(
    scalars['method/contextPatches'],
    single(log.map(({ step, method }) => [step, method.contextPatches as number])),
  );
  t.deepEqual(
    scalars['features/std'],
    single(log.flatMap(({ step, featureStd }) => (featureStd === null ? [] : [[step, featureStd]]))),
  );
  for (const [tag, path, step] of [
    ['masks', run.masks, 1],
    ['curves', run.curves, 72],
  ] as const) {
    const { width, height } = await sharp(path).metadata();
    t.deepEqual(images[tag]?.at(-1), [step, width, height]);
  }
  const [[step, text] = []] = texts.config ?? [];
  t.is(step, 1);
  t.is(text?.replaceAll(/^ {4}/gm, ''), readFileSync(run.config, 'utf8'));
});
