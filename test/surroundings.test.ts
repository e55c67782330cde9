import { spawnSync } from 'node:child_process';
import { chmod, mkdir, readdir, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import sharp from 'sharp';
import {
  type EndedHere,
  ijepaHere,
  SMALLEST,
  type StartOptions,
  startIjepa,
  temporaryFolder,
} from './helpers/command.js';
import { COMMAND } from './helpers/paths.js';

/** A user whom the system does not know; only root can become one, and only where the program may be read by everybody. */
const STRANGER = { uid: 12_345, gid: 12_345 };
const canBeStranger =
  process.getuid?.() === 0 && spawnSync(process.execPath, [COMMAND, '--version'], STRANGER).status === 0;

test('no home folder, no known user, no temporary and no writable current folder are needed', async (t) => {
  const folder = await temporaryFolder(t);
  const [pictures, here, out] = ['pictures', 'here', 'out'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  for (const path of [pictures, here, out]) await mkdir(path);
  for (let i = 0; i < 12; i++) {
    const create = { width: 20, height: 20, channels: 3, background: { r: 20 * i, g: 100, b: 200 } } as const;
    await sharp({ create })
      .png()
      .toFile(join(pictures, `${i}.png`));
  }
  await chmod(folder, 0o755);
  await chmod(out, 0o777);
  await chmod(here, 0o555);
  const options: StartOptions = {
    cwd: here,
    env: { HOME: undefined, TMPDIR: '/nonexistent', XDG_CACHE_HOME: '/nonexistent', XDG_CONFIG_HOME: undefined },
    ...(canBeStranger && STRANGER),
  };
  const run = join(out, 'new', 'run');
  const [, ...settings] = SMALLEST;
  const short = '--protocol paper --views 0 --layers last'.split(' ');
  const picture = join(pictures, '3.png');
  for (const args of [
    ['pretrain', pictures, ...settings, '--epochs', '1', '--out', run],
    ['mask-preview', picture, '--image-size', '16', '--patch-size', '4', '--out', join(out, 'm.png')],
    ['probe', run, '--data', 'shapes:16', ...short, '--out', join(out, 'evaluation'), '--no-baseline'],
    ['engine', 'list'],
  ]) {
    const { code, stderr } = await startIjepa(args, options);
    t.is(code, 0, `${args[0]}: ${stderr}`);
  }
  t.is((await startIjepa(['config'], { ...options, env: { ...options.env, HOME: '/nonexistent' } })).code, 0);
  t.deepEqual((await readdir(out)).sort(), ['evaluation', 'm.png', 'new']);
  t.deepEqual(await readdir(here), []);
});

test.serial(
  'a current folder that was removed, and places that cannot be written, are told of in one message',
  async (t) => {
    const folder = await temporaryFolder(t);
    const gone = join(folder, 'gone');
    await mkdir(gone);
    await writeFile(join(folder, 'file'), '');
    const oneMessage = ({ code, stderr }: EndedHere, says: RegExp) => {
      t.is(code, 2, stderr);
      t.regex(stderr, says);
      t.is(stderr.match(/^ijepa: /gm)?.length, 1, stderr);
      t.notRegex(stderr, /\n {4}at /);
    };
    const below = join(folder, 'file', 'below');
    oneMessage(await ijepaHere(['pretrain', ...SMALLEST, '--out', below]), /is not a folder, or lies below/);
    oneMessage(
      await ijepaHere(['probe', folder, '--data', 'shapes:16', '--out', below]),
      /is not a folder, or lies below|no checkpoint/,
    );
    const first = `cd ${gone} && rmdir ${gone}`;
    oneMessage(await startIjepa(['config'], { first }), /the current folder no longer exists/);
    await rmdir(gone).catch(() => {});
  },
);
