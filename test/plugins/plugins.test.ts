import { readFileSync } from 'node:fs';
import { cp, mkdir, realpath, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { UserError } from '../../core/base/errors.js';
import { checkPlugin } from '../../core/check/plugin.js';
import { isModulePath, readConfigFile } from '../../core/config/file.js';
import { loadPlugin, loadPlugins } from '../../core/plugins/load.js';
import { BUILT_IN_PLUGINS } from '../../plugins/index.js';
import { ijepa, ijepaHere, SMALLEST, temporaryFolder } from '../helpers/command.js';
import { FIXTURES, ROOT } from '../helpers/paths.js';

/** A plugin with a data set of plain squares, as a user would write it. */
const SQUARES = (name = 'squares', dataSet = name) => `
export default {
  name: '${name}',
  summary: 'plain squares',
  dataSets: [{
    name: '${dataSet}',
    summary: 'squares of one colour',
    async open(argument) {
      if (argument !== null && !(Number(argument) > 0)) {
        throw Object.assign(new Error('no number'), { name: 'PluginError', advice: { expected: 'a number' } });
      }
      const svg = (index) => '<svg xmlns="http://www.w3.org/2000/svg" width="32" height="32">' +
        '<rect width="32" height="32" fill="hsl(' + 37 * index % 360 + ',50%,50%)"/></svg>';
      return {
        description: 'squares', length: Number(argument ?? 48), fingerprint: 'squares/' + argument,
        item: (index) => ({ name: 'squares/' + index, source: async () => Buffer.from(svg(index)) }),
      };
    },
  }],
};`;

async function folderWith(t: ExecutionContext, files: Record<string, string>): Promise<string> {
  const folder = await realpath(await temporaryFolder(t));
  for (const [name, content] of Object.entries(files)) {
    await mkdir(join(folder, name, '..'), { recursive: true });
    await writeFile(join(folder, name), content);
  }
  return folder;
}

/** A plugin that brings one thing, as text. */
const BRINGS = (what: string) => `export default { name: 'other', summary: 'brings one thing', ${what} };`;

const PACKAGE = (exports: string) => `{ "name": "p", "type": "module", "exports": ${exports} }`;

test('plugins are loaded by path and from packages, those that can only be imported too', async (t) => {
  const folder = await folderWith(t, {
    'mine.mjs': SQUARES('mine'),
    'node_modules/plain/index.js': SQUARES('plain').replace('export default', 'module.exports ='),
    'node_modules/modern/package.json': PACKAGE('{ ".": { "types": "./x.d.ts", "import": "./main.js" } }'),
    'node_modules/modern/main.js': SQUARES('modern'),
    'node_modules/@some/one/package.json': PACKAGE('"./main.js"'),
    'node_modules/@some/one/main.js': SQUARES('one'),
  });
  const names = ['./mine.mjs', 'plain', 'modern', '@some/one', './mine.mjs'];
  const { plugins, problems } = await loadPlugins(names, BUILT_IN_PLUGINS, folder);
  t.deepEqual(problems, []);
  t.deepEqual(
    plugins.slice(BUILT_IN_PLUGINS.length).map(({ name }) => name),
    ['mine', 'plain', 'modern', 'one'],
  );
});

test('a plugin that cannot be used is named, with what is wrong with it; the others are loaded', async (t) => {
  const folder = await folderWith(t, {
    'good.mjs': SQUARES('good'),
    'none.mjs': BRINGS("regularizers: [{ name: 'none', summary: 's', compute() {} }]"),
    'values.mjs': BRINGS("monitors: [{ name: 'm', summary: 's', values: ['a b'], start() {} }]"),
    'uncomputed.mjs': BRINGS("losses: [{ name: 'm', summary: 's' }]"),
    'throws.mjs': 'throw new Error("out of order")',
    'syntax.mjs': 'export default {',
    'empty.mjs': 'export const x = 1',
    'nameless.mjs': SQUARES('Big Name'),
    'closed.mjs': SQUARES('closed').replace('async open(', 'async opens('),
    'own.mjs': BRINGS(
      "methods: [{ name: 'm', title: 'M', summary: 's', options: { imageSize: { kind: 'integer', help: 'h' } } }]",
    ),
    'protocol.mjs': SQUARES('protocol').replace(
      "summary: 'squares of",
      "protocol: { optimiser: 'adam' }, summary: 'squares of",
    ),
  });
  const cases: [name: string, message: RegExp][] = [
    ['./none.mjs', /none\.mjs does not keep to the contract: regularizers\.0\.name: 'none' stands for no regularizer/],
    ['./values.mjs', /values\.mjs does not keep to the contract: monitors\.0\.values\.0: not a name/],
    ['./uncomputed.mjs', /uncomputed\.mjs does not keep to the contract: losses\.0\.compute: not a function/],
    ['./missing.mjs', /missing\.mjs cannot be loaded: Cannot find module/],
    ['no-such-package', /no-such-package cannot be loaded: Cannot find module/],
    ['./throws.mjs', /throws\.mjs cannot be loaded: out of order/],
    ['./syntax.mjs', /syntax\.mjs cannot be loaded: Unexpected end of input/],
    ['./empty.mjs', /empty\.mjs does not keep to the contract: the default export/],
    ['./nameless.mjs', /nameless\.mjs does not keep to the contract: name: not a name/],
    ['./closed.mjs', /closed\.mjs does not keep to the contract: dataSets\.0\.open: not a function/],
    [
      './own.mjs',
      /own\.mjs does not keep to the contract: methods\.0\.options\.imageSize: the name of an option of every/,
    ],
    ['./protocol.mjs', /protocol\.mjs does not keep to the contract: dataSets\.0\.protocol\.optimiser/],
  ];
  const names = [...cases.map(([name]) => name), './good.mjs'];
  const { plugins, problems } = await loadPlugins(names, BUILT_IN_PLUGINS, folder);
  t.is(plugins.at(-1)?.name, 'good');
  t.is(plugins.length, BUILT_IN_PLUGINS.length + 1);
  t.is(problems.length, cases.length);
  cases.forEach(([, message], at) => {
    t.regex(problems[at]?.message ?? '', message);
  });
});

test('a name that two plugins bring is an error that names both', async (t) => {
  const folder = await folderWith(t, {
    'a.mjs': SQUARES('first', 'squares'),
    'b.mjs': SQUARES('second', 'squares'),
    'c.mjs': SQUARES('third', 'shapes'),
    'd.mjs': SQUARES('clevr', 'own'),
    'e.mjs': BRINGS("losses: [{ name: 'l2', summary: 's', compute() {} }]"),
  });
  const load = (...names: string[]) => loadPlugins(names, BUILT_IN_PLUGINS, folder);
  const twice = { instanceOf: UserError, message: 'the data set squares comes twice: from ./a.mjs and from ./b.mjs' };
  await t.throwsAsync(load('./a.mjs', './b.mjs'), twice);
  await t.throwsAsync(load('./c.mjs'), { message: /data set shapes comes twice: from the program itself/ });
  await t.throwsAsync(load('./d.mjs'), { message: /plugin clevr comes twice/ });
  await t.throwsAsync(load('./e.mjs'), {
    message: 'the loss l2 comes twice: from the program itself and from ./e.mjs',
  });
});

test('paths and packages are told apart', (t) => {
  for (const path of ['./a', '../a/b', '/a/b', 'a.mjs', 'folder/a.js', '.', '..']) t.true(isModulePath(path), path);
  for (const name of ['a', '@a/b', 'a-b', '.a']) t.false(isModulePath(name), name);
});

test('paths in a configuration file are relative to its folder, or else to the current one', async (t) => {
  const folder = await folderWith(t, { 'x/near.mjs': '', 'x/c.yaml': 'plugins: [./near.mjs, ./far.mjs, a-package]' });
  const file = await readConfigFile(join(folder, 'x', 'c.yaml'));
  t.deepEqual(file?.options.plugins, [join(folder, 'x', 'near.mjs'), join(process.cwd(), 'far.mjs'), 'a-package']);
});

const TINY = SMALLEST.slice(1);

test.serial('pretraining learns from a plugin of the user, and goes on with it from another folder', async (t) => {
  const folder = await folderWith(t, { 'c.yaml': 'plugins: ./squares.mjs\nepochs: 1', 'squares.mjs': SQUARES() });
  const args = ['pretrain', 'squares:48', '--config', join(folder, 'c.yaml'), ...TINY, '--out', join(folder, 'run')];
  const first = await ijepaHere(args, folder);
  t.is(first.code, 0, first.stderr);
  const again = await ijepaHere(['pretrain', '--out', join(folder, 'run'), '--resume'], ROOT);
  t.is(again.code, 0, again.stderr);
  t.regex(again.stdout, /the run is complete/);
});

test.serial('a run inside the folder of a data set is refused', async (t) => {
  const folder = await folderWith(t, {});
  await cp(join(FIXTURES, 'data', 'folder'), join(folder, 'pictures'), { recursive: true });
  const { code, stderr } = await ijepaHere(
    ['pretrain', 'folder:pictures', ...TINY, '--out', 'pictures/train/run'],
    folder,
  );
  t.is(code, 2);
  t.regex(stderr, /lies inside the data pictures/);
});

test.serial('a broken plugin is told, and a command that does not use it goes on', async (t) => {
  const folder = await folderWith(t, {
    'ijepa.config.yaml': 'plugins: [./broken.mjs]',
    'broken.mjs': 'export default 1',
  });
  const preview = ['mask-preview', '--image-size', '32', '--patch-size', '8', '--out', 'masks.png'];
  const { code, stderr } = await ijepaHere([...preview, 'shapes:4'], folder);
  t.is(code, 0, stderr);
  t.regex(stderr, /going on without a plugin: the plugin .*broken\.mjs does not keep to the contract/);
  const used = await ijepa([...preview, 'squares:4', '--force'], folder); // a process tells of a plugin once
  t.is(used.code, 2);
  t.regex(used.stderr, /broken\.mjs[\s\S]*squares:4 does not exist/);
});

test.serial("what a user's plugin refuses is told without a stack", async (t) => {
  const folder = await folderWith(t, { 'ijepa.config.yaml': 'plugins: [./squares.mjs]', 'squares.mjs': SQUARES() });
  const { code, stderr } = await ijepaHere(['mask-preview', '--out', 'masks.png', 'squares:none'], folder);
  t.is(code, 2);
  t.regex(stderr, /no number\n {2}expected: a number/);
});

test.serial('plugin check passes a whole plugin and lists the faults of another', async (t) => {
  const folder = await folderWith(t, {
    'good.mjs': SQUARES(),
    'bad.mjs': SQUARES()
      .replace("'squares/' + index", "'squares'")
      .replace("'squares/' + argument", 'String(Math.random())'),
  });
  const check = (...args: string[]) => ijepaHere(['plugin', 'check', ...args], folder);
  const good = await check('./good.mjs', 'squares:6');
  t.is(good.code, 0, good.stdout + good.stderr);
  t.regex(good.stdout, /squares:6: keeps to the contract/);
  const bad = await check('./bad.mjs', 'squares:6');
  t.is(bad.code, 2, bad.stderr);
  t.regex(bad.stdout, /two images named squares[\s\S]*another fingerprint/);
  const json = await check('./bad.mjs', 'squares:6', '--json');
  t.is(json.code, 2);
  const { plugin, results } = JSON.parse(json.stdout);
  t.is(plugin, 'squares');
  t.like(results, [{ subject: 'squares:6', engine: null }]);
  t.regex(results[0].faults.join(), /two images named squares/);
  t.regex((await check('./none.mjs')).stderr, /cannot be loaded/);
  t.regex((await check('./good.mjs', 'square:6')).stderr, /unknown data set 'square'[\s\S]*did you mean 'squares'/);
});

// One after the other: one engine computes at a time.
for (const [readme, count] of [
  ['plugins/README.md', 2],
  ['core/methods/README.md', 1],
] as const) {
  test.serial(`the plugin in ${readme} keeps to the contract`, async (t) => {
    const [, code = ''] = /```js\b.*\n([\s\S]*?)```/.exec(readFileSync(join(ROOT, readme), 'utf8')) ?? [];
    const folder = await folderWith(t, { 'my-plugin.mjs': code });
    await mkdir(join(folder, 'node_modules'));
    await symlink(ROOT, join(folder, 'node_modules', 'ijepa'));
    const subjects = new Set<string>();
    for await (const { subject, faults } of checkPlugin(
      await loadPlugin('./my-plugin.mjs', folder),
      [],
      BUILT_IN_PLUGINS,
    )) {
      t.deepEqual(faults, [], subject);
      subjects.add(subject);
    }
    t.is(subjects.size, count);
  });
}

test.serial("a plugin's method has flags of its own, and what it learned can be evaluated", async (t) => {
  const place = join(ROOT, 'dist', 'plugins', '_template', 'index.js');
  const folder = await folderWith(t, { 'ijepa.config.yaml': `plugins: [${JSON.stringify(place)}]` });
  const size = '--image-size 16 --patch-size 4 --dim 16 --depth 1 --heads 2 --batch-size 8 --engine wasm'.split(' ');
  const train = (out: string, flag: string) =>
    ijepaHere(
      ['pretrain', 'shapes:48', ...size, '--method', 'simmim', flag, '0.5', '--epochs', '1', '--out', out],
      folder,
    );
  const trained = await train('run', '--hidden-fraction');
  t.is(trained.code, 0, trained.stderr);
  t.regex(trained.stdout, /^method {5}SimMIM/m);
  const features = await ijepaHere(['features', 'run', 'shapes:8', '--out', 'f.npy', '--json'], folder);
  t.like(JSON.parse(features.stdout), { rows: 8, columns: 16, encoder: 'encoder' });
  const wrong = await train('other', '--hiden-fraction');
  t.is(wrong.code, 2);
  t.regex(wrong.stderr, /unknown option '--hiden-fraction'[\s\S]*--hidden-fraction/);
});

test.serial('a plugin brings a subcommand of its own', async (t) => {
  const folder = await folderWith(t, {
    'ijepa.config.yaml': 'plugins: [./greet.mjs]\n',
    'greet.mjs': `export default {
      name: 'greet', summary: 'says hello',
      commands: (create) => [create('greet').argument('<who>').action((who) => console.log('hello ' + who))],
    };`,
  });
  const { code, stdout, stderr } = await ijepaHere(['greet', 'you'], folder);
  t.is(code, 0, stderr);
  t.is(stdout, 'hello you\n');
  const wrong = await ijepaHere(['gret', 'you'], folder);
  t.is(wrong.code, 2);
  t.regex(wrong.stderr, /unknown command 'gret'\n {2}what to do: did you mean 'greet'\?/);
});
