import { spawnSync } from 'node:child_process';
import { appendFileSync, copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { makePictures } from './pictures.js';

/*
 * Makes the weights that come with the program: fetches the drawings, trains, trains a head, judges both, and writes weights,
 * head and card. `npm run weights`; `npm run weights -- --trained` goes on after the training, which lies in runs/weights.
 */
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const NAME = 'emoji';
const OUT = join('weights', NAME);
/** Where pictures and the run lie; what was trained on is named from there on. */
const WORK = join('runs', 'weights');
const [RUN, RESULTS] = ['run', join('run', 'results')];
/** A quarter of an hour of two cores. */
const RECIPE = '--images-seen 640000 --init-from none'.split(' ');
/** One thread gives the same weights on as many cores as there may be. */
const RUNNING = ['--threads', '1'];

process.chdir(ROOT);

if (!process.argv.includes('--trained')) {
  mkdirSync(WORK, { recursive: true });
  const { train, val, classes } = await makePictures(join(WORK, NAME), join(WORK, 'packages'));
  process.stderr.write(`${train} pictures to train on, ${val} to judge with, ${classes} classes\n`);
  rmSync(join(WORK, RUN), { recursive: true, force: true });
  ijepa(WORK, 'pretrain', join(NAME, 'train'), '--preset', 'cpu-small', ...RECIPE, '--out', RUN, ...RUNNING);
}
rmSync(join(WORK, RESULTS), { recursive: true, force: true });
exportWeights();
for (const data of [`folder:${NAME}`, 'shapes:2048']) {
  ijepa(WORK, 'probe', `builtin:${NAME}`, '--data', data, '--layers', 'last', '--out', RESULTS, ...RUNNING);
}
exportWeights(); // once more: the card now finds results beside the run
const [head] = readdirSync(join(WORK, RESULTS, 'heads')).filter((name) => name.startsWith('folder-'));
copyFileSync(join(WORK, RESULTS, 'heads', head), join(OUT, 'head.safetensors'));
appendFileSync(join(OUT, 'README.md'), `\n${readFileSync(join('weights', 'card.md'), 'utf8')}`);

/** In half precision, which changes features by a thousandth: see the card. Pictures of the run would make it a third larger. */
function exportWeights(): void {
  for (const picture of ['curves.png', 'masks.png']) rmSync(join(WORK, RUN, picture), { force: true });
  if (existsSync(OUT)) rmSync(OUT, { recursive: true });
  ijepa('.', 'export', join(WORK, RUN), '--to', 'safetensors', '--precision', 'fp16', '--out', OUT);
}

function ijepa(cwd: string, ...words: string[]): void {
  process.stderr.write(`\nijepa ${words.join(' ')}\n`);
  const { status } = spawnSync(process.execPath, [join(ROOT, 'dist', 'bin', 'ijepa.js'), ...words], {
    cwd,
    stdio: ['ignore', 2, 2],
  });
  if (status !== 0) throw new Error(`it ended with ${status}`);
}
