import { readFileSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { parse } from 'yaml';
import { ijepaHere, temporaryFolder } from '../helpers/command.js';
import { stoppedHere } from '../helpers/faults.js';
import { ROOT } from '../helpers/paths.js';

const SMALL = [
  'shapes:48',
  ...'--image-size 16 --patch-size 4 --dim 16 --depth 1 --heads 2 --batch-size 8 --epochs 2'.split(' '),
  ...'--watch-images 8 --watch-every-steps 4 --engine wasm'.split(' '),
];

/** A folder with a plugin that brings the template's method under a name, a default and a preset of its own. */
async function withPlugin(t: ExecutionContext): Promise<string> {
  const folder = await temporaryFolder(t);
  const template = pathToFileURL(join(ROOT, 'dist', 'plugins', '_template', 'method.js')).href;
  await mkdir(join(folder, 'mine'));
  await writeFile(
    join(folder, 'mine', 'plugin.mjs'),
    `import { simmim } from '${template}';
    const method = {
      ...simmim,
      name: 'own',
      title: 'Own',
      summary: 'is made for a test',
      defaults: { flip: 0.25 },
      presets: { 'own-small': { summary: 'small', options: { hiddenFraction: 0.7 } } },
    };
    export default { name: 'mine', summary: 'brings a method', methods: [method] };`,
  );
  return folder;
}

test.serial("a plugin's method has its place in help, files, checks, config and the list of methods", async (t) => {
  const folder = await withPlugin(t);
  const flag = ['--plugins', './mine/plugin.mjs'];
  const help = await ijepaHere(['pretrain', '--method', 'own', ...flag, '--help'], folder);
  t.is(help.code, 0, help.stderr);
  t.regex(help.stdout, /\nOwn \(--method own\):\n {2}--hidden-fraction <x> +fraction of the patches/);
  t.regex(help.stdout, /--flip <x>[^)]*default\s+0\.25\)/, 'its default of a common option');
  t.regex(help.stdout, /one of\s+own-small/);
  t.notRegex((await ijepaHere(['pretrain', '--help'], folder)).stdout, /hidden-fraction/);

  const config = async (...args: string[]) => {
    const { code, stdout, stderr } = await ijepaHere(['config', '--json', ...args], folder);
    t.is(code, 0, stderr);
    return JSON.parse(stdout);
  };
  const { options, origins } = await config('--preset', 'own-small', ...flag);
  t.like(options, { method: 'own', hiddenFraction: 0.7, flip: 0.25 });
  t.like(origins, { hiddenFraction: 'preset own-small', flip: 'default' });
  t.deepEqual(options.plugins, [join(folder, 'mine', 'plugin.mjs')]);

  await writeFile(
    join(folder, 'ijepa.config.yaml'),
    'plugins: [./mine/plugin.mjs]\nmethod: own\nhiddenFraction: 0.3\n',
  );
  t.like((await config()).options, { method: 'own', hiddenFraction: 0.3 });
  t.like((await config('--hidden-fraction', '0.2')).origins, { hiddenFraction: 'flag' });
  t.regex(
    (await ijepaHere(['pretrain', '--help'], folder)).stdout,
    /\nOwn \(--method own\):/,
    'the method of the file',
  );
  const listed = JSON.parse((await ijepaHere(['methods', '--json'], folder)).stdout);
  t.like(listed.at(-1), { name: 'own', title: 'Own', options: ['hiddenFraction'] });

  const refused = async (message: RegExp, ...args: string[]) => {
    const { code, stderr } = await ijepaHere(['config', ...args], folder);
    t.is(code, 2);
    t.regex(stderr, message);
  };
  await refused(/--hidden-fraction cannot be 2[\s\S]*number above 0 to 0\.95/, '--hidden-fraction', '2');
  await refused(
    /hiddenFraction \(--hidden-fraction\) in .* is an option of the method own; .* is mae/,
    '--method',
    'mae',
  );
});

test.serial(
  "a run of a plugin's method is recorded with its options and goes on without naming the plugin again",
  async (t) => {
    const folder = await withPlugin(t);
    const run = (out: string, ...args: string[]) =>
      ijepaHere(
        ['pretrain', ...SMALL, '--method', 'own', '--plugins', './mine/plugin.mjs', '--out', out, ...args],
        folder,
      );
    const whole = await run('whole', '--hidden-fraction', '0.4');
    t.is(whole.code, 0, whole.stderr);
    const record = parse(readFileSync(join(folder, 'whole', 'config.yaml'), 'utf8'));
    t.like(record, { method: 'own', hiddenFraction: 0.4, plugins: [join(folder, 'mine', 'plugin.mjs')] });

    const words = ['--method', 'own', '--plugins', './mine/plugin.mjs', '--hidden-fraction', '0.4'];
    const args = ['pretrain', ...SMALL, ...words, '--out', 'cut'];
    const stopped = await stoppedHere(args, join(folder, 'cut'), 1, 'SIGINT', folder);
    t.is(stopped.code, 130, stopped.stdout + stopped.stderr);
    await mkdir(join(folder, 'elsewhere'));
    const resume = (...args: string[]) =>
      ijepaHere(['pretrain', '--out', '../cut', '--resume', ...args], join(folder, 'elsewhere'));
    const other = await resume('--hidden-fraction', '0.5');
    t.is(other.code, 2);
    t.regex(other.stderr, /--hidden-fraction cannot change when a run goes on: it was 0\.4, flag says 0\.5/);
    const resumed = await resume();
    t.is(resumed.code, 0, resumed.stderr);
    const weights = (out: string) => readFile(join(folder, out, 'checkpoints', 'latest.safetensors'));
    t.deepEqual(await weights('cut'), await weights('whole'));
  },
);
