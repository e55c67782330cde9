import { spawnSync } from 'node:child_process';
import { appendFileSync, copyFileSync, existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { makeEmoji, TRAIN } from './emoji.js';
import { ICONS, makeIcons, readInfo } from './icons.js';
import { FONTS, makeLetters } from './letters.js';
import { makeScenes } from './scenes.js';

/*
 * Makes the weights that come with the program: fetches and makes drawings, trains, trains a head, judges both, and writes
 * weights, head and card. `npm run weights`; `npm run weights -- --trained` goes on after the training, which lies in runs/weights.
 */
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const NAME = 'drawings';
const OUT = join('weights', NAME);
/** Where pictures and the run lie; what was trained on is named from there on. */
const WORK = join('runs', 'weights');
const [RUN, RESULTS] = ['run', join('run', 'results')];
const [EMOJI, PACKAGES] = ['emoji', join(WORK, 'packages')];
/** What is trained on, beside emoji. */
const FOLDERS = { icons: makeIcons, letters: makeLetters, scenes: makeScenes };
const RECIPE = '--images-seen 1000000 --init-from none --regularizer-weight 0.05'.split(' ');
/** One thread gives the same weights on as many cores as there may be. */
const RUNNING = ['--threads', '1'];

process.chdir(ROOT);

if (!process.argv.includes('--trained')) {
  await makePictures();
  rmSync(join(WORK, RUN), { recursive: true, force: true });
  const data = [join(EMOJI, 'train'), ...Object.keys(FOLDERS)];
  ijepa(WORK, 'pretrain', ...data, '--preset', 'cpu-small', ...RECIPE, '--out', RUN, ...RUNNING);
}
rmSync(join(WORK, RESULTS), { recursive: true, force: true });
exportWeights();
for (const data of [`folder:${EMOJI}`, 'shapes:2048']) {
  ijepa(WORK, 'probe', `builtin:${NAME}`, '--data', data, '--layers', 'last', '--out', RESULTS, ...RUNNING);
}
exportWeights(); // once more: the card now finds results beside the run
const [head] = readdirSync(join(WORK, RESULTS, 'heads')).filter((name) => name.startsWith('folder-'));
copyFileSync(join(WORK, RESULTS, 'heads', head), join(OUT, 'head.safetensors'));
const card = readFileSync(join('weights', 'card.md'), 'utf8').replace('{{sources}}', await sources());
appendFileSync(join(OUT, 'README.md'), `\n${card}`);

/** All pictures anew. */
async function makePictures(): Promise<void> {
  for (const folder of [EMOJI, ...Object.keys(FOLDERS)]) rmSync(join(WORK, folder), { recursive: true, force: true });
  const { train, val, classes } = await makeEmoji(join(WORK, EMOJI), PACKAGES);
  process.stderr.write(`emoji: ${train} pictures to train on, ${val} to judge with, ${classes} classes\n`);
  for (const [folder, make] of Object.entries(FOLDERS)) {
    process.stderr.write(`${folder}: ${await make(join(WORK, folder), PACKAGES)} pictures\n`);
  }
}

/** What was trained on, as rows of a table. */
async function sources(): Promise<string> {
  const rows = [];
  for (const drawings of [...TRAIN, ...ICONS]) {
    const { author } = await readInfo(PACKAGES, drawings);
    rows.push(`| \`${drawings.package}\` ${drawings.version} | ${author.name} | ${drawings.licence} |`);
  }
  const fonts = Object.entries(FONTS).map(([name, version]) => `${name} ${version}`);
  rows.push(
    `| \`@expo-google-fonts/\`: ${fonts.join(', ')} | their designers (Google Fonts) | OFL-1.1 or Apache-2.0 |`,
  );
  return rows.join('\n');
}

/** In half precision, which changes features by 0.1%: see the card. Pictures of the run would make it a third larger. */
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
