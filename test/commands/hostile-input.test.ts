import { spawnSync } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import sharp from 'sharp';
import { UserError } from '../../core/base/errors.js';
import { linesOf, parseJson, readText } from '../../core/base/text.js';
import { FORMAT, loadCheckpoint } from '../../core/checkpoint/checkpoint.js';
import { readSafetensors, writeSafetensors } from '../../core/checkpoint/safetensors.js';
import { parseYaml, readConfigFile } from '../../core/config/file.js';
import { resolveOptions } from '../../core/config/resolve.js';
import { centreCrop } from '../../core/data/crop.js';
import { startEngine } from '../../core/engine/start.js';
import { readResults } from '../../core/eval/results.js';
import { readEncoder } from '../../core/exchange/read.js';
import { extractArchive } from '../../core/fetch/extract.js';
import { METHODS } from '../../core/methods/registry.js';
import { type DataSet, PluginError } from '../../core/plugin.js';
import { runFolder } from '../../core/run/run-folder.js';
import { readRunLog } from '../../core/run/run-log.js';
import cifar100 from '../../plugins/cifar100/index.js';
import clevr from '../../plugins/clevr/index.js';
import places205 from '../../plugins/places205/index.js';
import { makeTar } from '../helpers/archives.js';
import { temporaryFolder } from '../helpers/command.js';
import { evaluationResult } from '../helpers/evaluation.js';
import { COMMAND } from '../helpers/paths.js';
import { TINY_MODEL, tinyShapes } from '../helpers/tiny-state.js';

/*
 * Inputs that once made a reader hang, crash, eat memory or fail as if by a bug.
 */

/** Writes a file, and the folders above it, into a new folder. */
async function made(t: ExecutionContext, name: string, content: string | Uint8Array): Promise<string> {
  const path = join(await temporaryFolder(t), name);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, content);
  return path;
}

async function configure(t: ExecutionContext, text: string): Promise<void> {
  const file = await readConfigFile(await made(t, 'x.yaml', text));
  resolveOptions({ methods: METHODS, file, flags: {} });
}

for (const [what, text] of [
  ['keys within keys, which took minutes', `preset: demo\n${'? '.repeat(600)}a\n`],
  ['lists within lists, thousands of them', `a: ${'['.repeat(8000)}`],
  ['a list within itself', 'data: &a [*a]\n'],
  [
    'aliases that unfold to billions',
    `a: &a [x,x]\n${[...'bcdefghijklmnopqrst'].map((name, at) => `${name}: &${name} [${Array(9).fill(`*${'abcdefghijklmnopqrs'[at]}`).join()}]\n`).join('')}`,
  ],
  ['a key that is a list', '? [a]\n: 1\n'],
  ['a key twice', 'epochs: 1\nepochs: 2\n'],
  ['an interval of dots, whose pattern took time with their square', `cropScale: ${'.'.repeat(200_000)}x\n`],
  ['a key that reaches for what all objects inherit', '__proto__: {polluted: true}\n'],
  ['a value nested deeper than it could be quoted', `arch: ${'['.repeat(40)}${']'.repeat(40)}\n`],
] as const) {
  test(`a configuration with ${what} is refused`, async (t) => {
    await t.throwsAsync(configure(t, text), { instanceOf: UserError });
    t.false('polluted' in {});
  });
}

test('keys are told apart in time that grows with their number alone', (t) => {
  const text = Array.from({ length: 50_000 }, (_, at) => `k${at}: 1\n`).join('');
  t.is(Object.keys(parseYaml(text) as object).length, 50_000);
});

test('a text larger than allowed is not read whole, and lines of any length do not gather', async (t) => {
  const path = await made(t, 'x.txt', `short\n${'long'.repeat(100_000)}\nlast`);
  await t.throwsAsync(readText(path, 400_000), { instanceOf: UserError, message: /more than 400000 bytes/ });
  t.is((await readText(path, 400_011)).length, 400_011);
  const lines = [...linesOf(path)];
  t.deepEqual([lines[0], lines.at(-1)], ['short', 'last']);
  t.true(lines.every((line) => line.length <= 1 << 17));
});

test('letters of several bytes are whole wherever a text is cut for reading', async (t) => {
  const lines = Array.from({ length: 30_000 }, (_, at) => `ü名${at}`);
  t.deepEqual([...linesOf(await made(t, 'x.txt', lines.join('\n')))], lines);
});

test('JSON that is nested deeper than anybody needs is refused before it breaks who walks through it', async (t) => {
  t.throws(() => parseJson(`${'['.repeat(100_000)}${']'.repeat(100_000)}`), { message: /nested/ });
  t.notThrows(() => parseJson(`${'['.repeat(50)}${']'.repeat(50)}`));
  const deep = JSON.stringify(evaluationResult()).replace('{', `{"more":${'['.repeat(20_000)}${']'.repeat(20_000)},`);
  await t.throwsAsync(readResults(await made(t, 'results.json', `[${deep}]`)), { message: /nested/ });
});

test('a damaged result is still told of by the place of its first fault', async (t) => {
  const result = { ...evaluationResult(), heads: [{ ...evaluationResult().best, curve: [1, 2, 'x', 'y'] }] };
  const path = await made(t, 'results.json', JSON.stringify([result]));
  await t.throwsAsync(readResults(path), { message: /result 1 is damaged at heads\.0\.curve\.2: .*number/ });
});

test('rows of a log with fields that are missing or no numbers are left out', async (t) => {
  const names = 'loss gradientNorm operations imagesPerSecond seconds waitSeconds skippedImages';
  const row = {
    epoch: 1,
    ...Object.fromEntries(names.split(' ').map((name) => [name, 1])),
    terms: { prediction: 1 },
    method: {},
    rates: { learningRate: 1 },
    featureStd: null,
    featureRank: 2,
  };
  const rows = [
    { step: 1, ...row },
    { step: 2 },
    { step: 3, ...row, loss: 'low' },
    { step: '4', ...row },
    { step: 5, ...row, loss: null }, // as JSON writes NaN
    { step: 6, ...row, terms: { prediction: 'low' } },
  ];
  const folder = runFolder(dirname(await made(t, 'log.jsonl', rows.map((each) => JSON.stringify(each)).join('\n'))));
  t.deepEqual(
    readRunLog(folder).map(({ step, loss }) => [step, loss]),
    [
      [1, 1],
      [5, Number.NaN],
    ],
  );
});

/** A file of tensors without any. */
function empty(metadata: object, more = ''): Uint8Array {
  const header = Buffer.from(`{"__metadata__":${JSON.stringify(metadata)}${more}}`);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([length, header]);
}

const TENSOR = ',"encoder.x":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}';

test('a model that claims more blocks, or a larger grid, than there can be is refused before anything is made for it', async (t) => {
  const vit = { dim: 4, depth: 1, heads: 1, mlpRatio: 1 };
  const size = { ...TINY_MODEL, imageSize: 4, patchSize: 2, sizes: { encoder: vit } };
  for (const [claimed, message] of [
    [{ ...size, sizes: { encoder: { ...vit, depth: Number.MAX_SAFE_INTEGER } } }, /blocks/],
    [{ ...size, imageSize: 2 ** 40 }, /does not describe a model/],
  ] as const) {
    const path = await made(t, 'x.safetensors', empty({ model: JSON.stringify(claimed) }, TENSOR));
    await t.throwsAsync(readEncoder(path, 'context'), { instanceOf: UserError, message });
  }
});

test('a checkpoint that says nothing of its watch is read as far as that goes', async (t) => {
  await startEngine('cpu');
  const model = JSON.stringify(TINY_MODEL);
  const path = join(await temporaryFolder(t), 'x.safetensors');
  await writeSafetensors(path, new Map(), { format: FORMAT, step: '1', model });
  await t.throwsAsync(loadCheckpoint(path, TINY_MODEL, tinyShapes()), {
    instanceOf: UserError,
    message: /is not there instead of/,
  });
});

test('a header of sizes beyond all bounds sets nothing aside', async (t) => {
  for (const [shape, end] of [
    [[2 ** 40], 2 ** 42],
    [[2 ** 40, 2 ** 40, 2 ** 53 - 1], 2 ** 53 - 1],
  ] as const) {
    const entry = JSON.stringify({ dtype: 'F32', shape, data_offsets: [0, end] });
    const path = await made(t, 'x.safetensors', empty({}, `,"a":${entry}`));
    await t.throwsAsync(readSafetensors(path), { instanceOf: UserError }, String(shape));
  }
});

/** Opens the labelled images of a plugin's first data set. */
async function openIn(folder: string, { dataSets: [dataSet] }: { dataSets: readonly DataSet[] }): Promise<void> {
  await dataSet?.openLabelled?.(folder);
}

for (const [what, pickle, message] of [
  ['a length below zero, over which it went back for ever', 'B\xfa\xff\xff\xff', /below zero/],
  ['a number of a hundred thousand digits', `\x8b\xa0\x86\x01\x00${'9'.repeat(100_000)}.`, /instruction 139/],
  ['text that it turns into bytes again and again', `X\xe8\x03\x00\x00${'x'.repeat(1000)}q\x000`, /instruction 48/],
  [
    'text that it keeps as bytes again and again',
    `](X\xe8\x03\x00\x00${'x'.repeat(1000)}q\x00c_codecs\nencode\nq\x01${'h\x01h\x00\x85R'.repeat(500)}e.`,
    /more bytes than it has/,
  ],
] as const) {
  test(`a pickle with ${what} is refused`, async (t) => {
    const path = await made(t, 'cifar-100-python/meta', Buffer.from(`\x80\x02${pickle}`, 'latin1'));
    for (const name of ['train', 'test']) await writeFile(join(dirname(path), name), '');
    await t.throwsAsync(openIn(dirname(path), cifar100), { instanceOf: PluginError, message });
  });
}

for (const [name, linkpath] of [
  ['dir/link', 'dir'],
  ['Dir/sub/link', './dir'],
  ['link', 'link/x'],
] as const) {
  test(`a link ${name} to ${linkpath}, at which unpacking waited for ever, is refused`, async (t) => {
    const path = await made(t, 'x.tar', makeTar([{ name, type: 'SymbolicLink', linkpath }]));
    const folder = await temporaryFolder(t);
    await t.throwsAsync(extractArchive(path, folder), { instanceOf: UserError, message: /a link to the name of/ });
  });
}

test('a link to the folder in which it lies, and to a file beside it, is unpacked', async (t) => {
  const content = [
    { name: 'dir/a', content: 'text' },
    { name: 'dir/here', type: 'SymbolicLink', linkpath: '.' },
    { name: 'dir/b', type: 'SymbolicLink', linkpath: 'a' },
  ] as const;
  const folder = await temporaryFolder(t);
  await extractArchive(await made(t, 'x.tar', makeTar(content)), folder);
  t.is(await readFile(join(folder, 'dir/here/b'), 'utf8'), 'text');
});

test('a line of a list with a hundred thousand blanks is refused at once', async (t) => {
  const path = await made(t, 'trainvalsplit_places205/train_places205.csv', `a${' ,'.repeat(100_000)}1x\n`);
  const folder = dirname(dirname(path));
  await mkdir(join(folder, 'images'));
  await t.throwsAsync(openIn(folder, places205), { instanceOf: PluginError, message: /line 1, is 'a/ });
});

test('a scene of two hundred thousand objects is read', async (t) => {
  const objects = Array(200_000).fill({ pixel_coords: [1, 2, 8] });
  const scenes = JSON.stringify({ scenes: [{ image_filename: 'a.png', objects }] });
  const path = await made(t, 'scenes/CLEVR_train_scenes.json', scenes);
  const folder = dirname(dirname(path));
  await writeFile(join(folder, 'scenes/CLEVR_val_scenes.json'), scenes);
  for (const part of ['train', 'val']) await mkdir(join(folder, 'images', part), { recursive: true });
  // That its picture is not there is the first thing that is wrong.
  await t.throwsAsync(openIn(folder, clevr), { instanceOf: PluginError, message: /none of them is in/ });
});

test('annotations that are wrong two million times take no more memory than such that are right', async (t) => {
  const path = await made(t, 'train2018.json', `{"images":[${'0,'.repeat(2e6)}0],"annotations":[],"categories":[]}`);
  await mkdir(join(dirname(path), 'train_val2018'));
  const args = ['--max-old-space-size=200', COMMAND, 'data', 'info', 'inat18', dirname(path)];
  const { status, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  t.is(status, 2, stderr);
  t.regex(stderr, /not as it should be at images\.0: /);
});

test('no file can steer a terminal, or fill it', (t) => {
  const { report } = new UserError(`unknown option '\u001b[2J\u0007${'x'.repeat(1e6)}'`, { expected: 'a\u0000b' });
  t.notRegex(report, /[^\P{Cc}\n]/u);
  t.true(report.length < 6000);
});

test('a drawing reads no other file, and is no picture where a file says that it is one', async (t) => {
  const red = await sharp({ create: { width: 8, height: 8, channels: 3, background: 'red' } })
    .png()
    .toBuffer();
  const secret = await made(t, 'secret.png', red);
  const images = [`file://${secret}`, secret, 'secret.png'].map(
    (href) => `<image href="${href}" width="8" height="8"/>`,
  );
  const svg = Buffer.from(`<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8">${images.join('')}</svg>`);
  const drawn = await centreCrop({ name: 'drawing', source: async () => svg }, 8, 1000);
  t.true(drawn.every((value) => value === 255));
  const path = join(dirname(secret), 'drawing.png');
  await writeFile(path, svg);
  await t.throwsAsync(centreCrop({ name: path, source: path }, 8, 1000), { message: /its content is SVG/ });
  t.deepEqual(await readFile(path), svg);
});
