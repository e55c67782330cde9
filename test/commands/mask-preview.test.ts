import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import sharp from 'sharp';
import { ijepaHere, SMALLEST, temporaryFolder } from '../helpers/command.js';

const rgb = (hex: string) => [1, 3, 5].map((at) => Number.parseInt(hex.slice(at, at + 2), 16));

/** Whether a picture has pixels of a colour. */
async function hasColour(path: string, hex: string): Promise<boolean> {
  const { data } = await sharp(path).removeAlpha().raw().toBuffer({ resolveWithObject: true });
  const [red, green, blue] = rgb(hex);
  for (let at = 0; at < data.length; at += 3) {
    if (data[at] === red && data[at + 1] === green && data[at + 2] === blue) return true;
  }
  return false;
}

test.serial('a preview shows context and targets in their colours, with text, and a row for each file', async (t) => {
  const folder = await temporaryFolder(t);
  const pictures = await Promise.all(
    ['#808080', '#a0a0a0', '#c0c0c0'].map(async (background, at) => {
      const path = join(folder, `${at}.png`);
      await sharp({ create: { width: 80, height: 60, channels: 3, background } })
        .png()
        .toFile(path);
      return path;
    }),
  );
  const sizes = ['--image-size', '64', '--patch-size', '8'];
  const [three, one] = [join(folder, 'three.png'), join(folder, 'one.png')];
  t.is((await ijepaHere(['mask-preview', ...pictures, '--out', three, '--samples', '1', ...sizes])).code, 0);
  t.is((await ijepaHere(['mask-preview', pictures[0] as string, '--out', one, '--samples', '1', ...sizes])).code, 0);
  const [tall, low] = [await sharp(three).metadata(), await sharp(one).metadata()];
  t.true(tall.height > low.height + 300);
  for (const colour of ['#0072B2', '#E69F00', '#009E73', '#D55E00', '#CC79A7'])
    t.true(await hasColour(three, colour), colour);
  const title = await sharp(one).extract({ left: 0, top: 8, width: 400, height: 24 }).greyscale().raw().toBuffer();
  t.true(title.filter((value) => value < 80).length > 300, 'the title is drawn, whatever fonts the machine has');
});

test.serial("a run's configuration shows the masks and crops that training used: its own masks.png", async (t) => {
  const folder = await temporaryFolder(t);
  const run = join(folder, 'run');
  await ijepaHere(['pretrain', ...SMALLEST, '--out', run, '--epochs', '1']);
  const [same, later] = [join(folder, 'same.png'), join(folder, 'later.png')];
  const args = ['mask-preview', '--config', join(run, 'config.yaml'), '--out'];
  t.is((await ijepaHere([...args, same])).code, 0);
  t.deepEqual(await readFile(same), await readFile(join(run, 'masks.png')));
  t.is((await ijepaHere([...args, later, '--step', '2'])).code, 0);
  t.notDeepEqual(await readFile(later), await readFile(same));
});

test.serial('a preview does not replace a file, and refuses what is wrong', async (t) => {
  const folder = await temporaryFolder(t);
  const out = join(folder, 'x.png');
  const preview = (...args: string[]) =>
    ijepaHere(['mask-preview', 'shapes', '--out', out, '--image-size', '32', '--patch-size', '4', ...args]);
  t.is((await preview('--samples', '0')).code, 2);
  t.is((await preview('--min-keep', '60')).code, 2);
  t.false(existsSync(out));
  t.is((await preview()).code, 0);
  const again = await preview();
  t.is(again.code, 2);
  t.regex(again.stderr, /exists[\s\S]*--force/);
  const { code, stdout } = await preview('--force', '--batch-size', '64', '--mask-group', '8');
  t.is(code, 0);
  const told =
    /a context keeps ([\d.]+) of 64 patches \(\d+%\): of the ([\d.]+) outside its targets, cutting 8 images to their smallest takes (\d+)% away; cutting all 64 together would take (\d+)%/;
  const [kept, drawn, cut, cutOfAll] = (told.exec(stdout)?.slice(1) ?? []).map(Number) as [
    number,
    number,
    number,
    number,
  ];
  t.is(cut, Math.round(100 * (1 - kept / drawn)));
  t.true(cutOfAll > cut + 5, `${cut}%, of the whole batch ${cutOfAll}%`);
});
