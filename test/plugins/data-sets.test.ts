import { cp, readdir, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import sharp from 'sharp';
import { findDataSetFaults } from '../../core/check/data-set.js';
import { type DataSet, type LabelledData, PluginError } from '../../core/plugin.js';
import template from '../../plugins/_template/index.js';
import { distanceClass } from '../../plugins/clevr/scenes.js';
import { indicesOfList } from '../../plugins/imagenet/index.js';
import { DATA_SETS } from '../../plugins/index.js';
import { classOfScene, drawScene } from '../../plugins/shapes/scene.js';
import { temporaryFolder } from '../helpers/command.js';
import { FIXTURES } from '../helpers/paths.js';

const DATA = join(FIXTURES, 'data');

/** Every form in which a data set may lie on a disk, with how many training and test images its fixture has. */
const FORMS: [dataSet: string, fixture: string, classes: number, train: number, test: number][] = [
  ['cifar100', 'cifar100-binary', 4, 8, 4],
  ['cifar100', 'cifar100-binary-archive', 4, 8, 4],
  ['cifar100', 'cifar100-python', 4, 8, 4],
  ['cifar100', 'cifar100-python-archive', 4, 8, 4],
  ['cifar100', 'cifar100-python3-archive', 4, 8, 4],
  ['places205', 'places205-lists', 3, 6, 3],
  ['places205', 'places205-folders', 3, 6, 3],
  ['inat18', 'inat18', 3, 6, 3],
  ['clevr-count', 'clevr', 5, 9, 4],
  ['clevr-dist', 'clevr', 6, 9, 5],
  ['imagenet', 'imagenet', 2, 6, 2],
  ['folder', 'folder', 2, 4, 2],
  ['webdataset', 'webdataset-plain', 3, 5, 3],
  ['webdataset', 'webdataset-packed', 2, 4, 2],
];

function dataSet(name: string): DataSet {
  const found = DATA_SETS.find((candidate) => candidate.name === name);
  if (!found) throw new Error(`there is no data set ${name}`);
  return found;
}

async function openLabelled(name: string, argument: string | null): Promise<LabelledData> {
  const data = await dataSet(name).openLabelled?.(argument);
  if (!data) throw new Error(`${name} has no labels`);
  return data;
}

const labelsOf = ({ length, classOf }: LabelledData['train']) => Array.from({ length }, (_, index) => classOf(index));

for (const [name, fixture, classes, train, tests] of FORMS) {
  test(`${name} in ${fixture} keeps to the contract, with all its images and classes`, async (t) => {
    const folder = join(DATA, fixture);
    t.deepEqual(await findDataSetFaults(dataSet(name), { argument: folder, folder }), []);
    const data = await openLabelled(name, folder);
    t.deepEqual([data.classes.length, data.train.length, data.test.length], [classes, train, tests]);
  });
}

test('texts of a data set may begin with a byte order mark; ones in UTF-16 are named', async (t) => {
  const kinds = new Set<string>();
  for (const [name, fixture] of FORMS.filter(
    ([name, fixture]) => name !== 'imagenet' && !fixture.endsWith('archive'),
  )) {
    const folder = join(await temporaryFolder(t), fixture);
    await cp(join(DATA, fixture), folder, { recursive: true });
    const texts = (await readdir(folder, { recursive: true })).filter((path) => /\.(json|csv|txt)$/.test(path));
    if (texts.length === 0) continue;
    kinds.add(name);
    const plain = await openLabelled(name, folder);
    const contents = await Promise.all(texts.map((path) => readFile(join(folder, path), 'utf8')));
    for (const [at, path] of texts.entries()) await writeFile(join(folder, path), `\uFEFF${contents[at]}`);
    const marked = await openLabelled(name, folder);
    t.deepEqual([marked.classes, labelsOf(marked.train)], [plain.classes, labelsOf(plain.train)], fixture);
    for (const [at, path] of texts.entries())
      await writeFile(join(folder, path), Buffer.from(`\uFEFF${contents[at]}`, 'utf16le'));
    await t.throwsAsync(() => openLabelled(name, folder), { message: /is a text in UTF-16/ }, fixture);
  }
  t.deepEqual([...kinds], ['cifar100', 'places205', 'inat18', 'clevr-count', 'clevr-dist', 'webdataset']);
});

test('every data set but shapes has a form in the fixtures', (t) => {
  const tried = new Set(FORMS.map(([name]) => name));
  t.deepEqual(
    DATA_SETS.map(({ name }) => name).filter((name) => !tried.has(name)),
    ['shapes'],
  );
});

test('shapes keep to the contract; test scenes are none of the training scenes', async (t) => {
  t.deepEqual(await findDataSetFaults(dataSet('shapes'), { argument: '200', decoded: 3 }), []);
  const { train, test: tests } = await openLabelled('shapes', '400');
  t.deepEqual([train.length, tests.length, (await openLabelled('shapes', '20')).test.length], [400, 100, 64]);
});

test('the class of a scene is the same whether it is drawn or not', (t) => {
  for (let index = 0; index < 300; index++) t.is(classOfScene(index), drawScene(index).labels.class);
});

test('a class tree that has no test images of its own is found faulty by the contract check', async (t) => {
  const broken: DataSet = {
    ...dataSet('folder'),
    openLabelled: async (argument) => {
      const data = await openLabelled('folder', argument);
      return { ...data, test: data.train, classes: ['cat', 'cat'] };
    },
    protocol: { ...(dataSet('cifar100').protocol as NonNullable<DataSet['protocol']>), epochs: 20 },
  };
  const faults = (await findDataSetFaults(broken, { argument: join(DATA, 'folder') })).join('\n');
  for (const fault of [/two classes of one name/, /same fingerprint/, /both a training and a test/, /steps at/]) {
    t.regex(faults, fault);
  }
});

test('the template keeps to the contract', async (t) => {
  const folder = await temporaryFolder(t);
  const lines: string[] = [];
  for (let number = 0; number < 10; number++) {
    const background = { r: 20 * number, g: 90, b: 200 };
    const image = sharp({ create: { width: 12, height: 9, channels: 3, background } });
    await image.png().toFile(join(folder, `${number}.png`));
    lines.push(`${number}.png,${number % 2 === 0 ? 'even' : 'odd'}`);
  }
  await writeFile(join(folder, 'labels.csv'), lines.join('\n'));
  t.deepEqual(await findDataSetFaults(template.dataSets[0], { argument: folder, folder }), []);
});

test('all forms of CIFAR-100 give the same pictures, in their right colours', async (t) => {
  const forms = FORMS.filter(([name]) => name === 'cifar100').map(([, fixture]) => join(DATA, fixture));
  const opened = await Promise.all(forms.map((folder) => openLabelled('cifar100', folder)));
  const records = await readFile(join(DATA, 'cifar100-binary/cifar-100-binary/train.bin'));
  for (const { train, test: tests, classes } of opened) {
    t.deepEqual(classes, ['apple', 'aquarium_fish', 'baby', 'bear']);
    t.deepEqual([train.fingerprint, tests.fingerprint], [opened[0]?.train.fingerprint, opened[0]?.test.fingerprint]);
    t.deepEqual(labelsOf(train), [0, 1, 2, 3, 3, 2, 1, 0]);
    const { source } = train.item(5);
    const rgb = await sharp(await (source as () => Promise<Uint8Array>)())
      .raw()
      .toBuffer();
    // Column 9 of row 3 of record 5: red, green and blue are 1024 bytes apart, after two bytes of classes.
    const place = 5 * 3074 + 2 + 3 * 32 + 9;
    t.deepEqual([...rgb.subarray(3 * (3 * 32 + 9), 3 * (3 * 32 + 9) + 3)], [
      records[place],
      records[place + 1024],
      records[place + 2048],
    ] as number[]);
  }
});

test('distances are classed by bisection from the left', (t) => {
  const expected: [number, number][] = [
    [0.5, 0],
    [7.999, 0],
    [8, 0],
    [8.001, 1],
    [8.5, 1],
    [9, 2],
    [9.5, 3],
    [9.51, 4],
    [10, 4],
    [10.001, 5],
    [100, 5],
    [100.1, 6],
  ];
  for (const [nearest, label] of expected) t.is(distanceClass(nearest), label, `${nearest}`);
});

test('CLEVR: classes at the thresholds, and counts that training lacks are left out and told', async (t) => {
  const far = await openLabelled('clevr-dist', join(DATA, 'clevr'));
  t.deepEqual(labelsOf(far.train), [0, 0, 1, 1, 2, 3, 4, 5, 5]);
  t.deepEqual(labelsOf(far.test), [0, 1, 4, 5, 3]);
  const count = await openLabelled('clevr-count', join(DATA, 'clevr'));
  t.deepEqual(count.classes, ['3 objects', '4 objects', '5 objects', '6 objects', '10 objects']);
  t.deepEqual(labelsOf(count.train), [0, 1, 2, 3, 0, 1, 2, 3, 4]);
  t.deepEqual(labelsOf(count.test), [0, 1, 2, 4]);
  t.deepEqual(count.notes, ['test images with 9 objects (1) are left out: a number that training lacks']);
});

test('protocols are those of the paper', (t) => {
  const of = (name: string) => dataSet(name).protocol;
  const said = ['cifar100', 'places205', 'inat18'].map((name) => [of(name)?.epochs, of(name)?.schedule]);
  t.deepEqual(said, [
    [28, { kind: 'steps', atEpochs: [8, 16, 24] }],
    [14, { kind: 'steps', atEpochs: [4, 8, 12] }],
    [84, { kind: 'steps', atEpochs: [24, 48, 72] }],
  ]);
  t.deepEqual([of('clevr-count')?.epochs, of('clevr-dist')?.epochs, of('clevr-dist')?.transform], [50, 100, 'squash']);
  t.deepEqual([of('imagenet')?.optimiser, of('imagenet')?.batchSize, of('folder')], ['lars', 16384, undefined]);
});

test('a list picks training images of ImageNet by their names', async (t) => {
  const { train } = await openLabelled('imagenet', join(DATA, 'imagenet'));
  const chosen = await indicesOfList(train, join(DATA, 'imagenet', '1percent.txt'));
  t.deepEqual(
    chosen.map((index) => [train.item(index).name.split('/').at(-1), train.classOf(index)]),
    [
      ['n01443537_2.JPEG', 1],
      ['n01440764_3.JPEG', 0],
    ],
  );
  const list = join(await temporaryFolder(t), 'list.txt');
  for (const [content, message] of [
    ['n01440764_1.JPEG\nn01440764_1.JPEG\n', /twice, in lines 1 and 2/],
    ['n01440764_1.JPEG\n\nn09999999_1.JPEG\n', /n09999999_1.JPEG in line 3/],
    ['\n', /names no images/],
  ] as const) {
    await writeFile(list, content);
    await t.throwsAsync(indicesOfList(train, list), { instanceOf: PluginError, message });
  }
});

/** A copy of a fixture, to be damaged. */
async function copyOf(t: ExecutionContext, fixture: string): Promise<string> {
  const folder = join(await temporaryFolder(t), fixture);
  await cp(join(DATA, fixture), folder, { recursive: true });
  return folder;
}

async function replaceIn(file: string, from: string | RegExp, to: string): Promise<void> {
  const text = await readFile(file, 'utf8');
  const changed = text.replace(from, to);
  if (changed === text) throw new Error(`${file} has no ${from}`);
  await writeFile(file, changed);
}

for (const [name, fixture, file] of [
  ['folder', 'folder', 'train/cat/one.png'],
  ['places205', 'places205-lists', 'images/a/abbey/gsun_00.jpg'],
  ['cifar100', 'cifar100-binary', 'cifar-100-binary/train.bin'],
] as const) {
  test(`the fingerprint of ${name} changes when an image does; an unreadable image is left to whoever reads it`, async (t) => {
    const folder = await copyOf(t, fixture);
    const before = await openLabelled(name, folder);
    const content = await readFile(join(folder, file));
    const changed = name === 'cifar100' ? Buffer.from(content).fill(7, 100, 101) : Buffer.from('no image');
    await writeFile(join(folder, file), changed);
    const after = await openLabelled(name, folder);
    t.is(after.train.length, before.train.length);
    t.not(after.train.fingerprint, before.train.fingerprint);
    t.is(after.test.fingerprint, before.test.fingerprint);
  });
}

test('single images that are missing are told and left to whoever reads them', async (t) => {
  const folder = await copyOf(t, 'inat18');
  await rm(join(folder, 'train_val2018/Plantae/0/train1.jpg'));
  const { train, notes } = await openLabelled('inat18', folder);
  t.is(train.length, 6);
  t.regex(notes?.join() ?? '', /1 of 6 images of .*train2018.json are not there, such as .*train1.jpg/);
});

type Damage = (folder: string) => Promise<unknown>;
const cutBy = (file: string, bytes: number) => async (folder: string) =>
  truncate(join(folder, file), (await readFile(join(folder, file))).length - bytes);
const remove = (file: string) => (folder: string) => rm(join(folder, file), { recursive: true });
const edit = (file: string, from: string | RegExp, to: string) => (folder: string) =>
  replaceIn(join(folder, file), from, to);

const TRAIN_BIN = 'cifar-100-binary/train.bin';
const TRAIN_CSV = 'trainvalsplit_places205/train_places205.csv';
const SCENES = 'CLEVR_v1.0/scenes/CLEVR_train_scenes.json';

/** What may be wrong with each fixture, and what the message says. */
type Case = [what: string, dataSet: string, fixture: string, damage: Damage, message: RegExp];
const DAMAGES: Case[] = [
  [
    'a file of records one byte short',
    'cifar100',
    'cifar100-binary',
    cutBy(TRAIN_BIN, 1),
    /train\.bin has 24591 bytes/,
  ],
  ['no test file', 'cifar100', 'cifar100-binary', remove('cifar-100-binary/test.bin'), /test\.bin is missing/],
  [
    'no class names',
    'cifar100',
    'cifar100-binary',
    remove('cifar-100-binary/fine_label_names.txt'),
    /names\.txt is missing/,
  ],
  [
    'fewer class names than classes',
    'cifar100',
    'cifar100-binary',
    edit('cifar-100-binary/fine_label_names.txt', 'bear\n', ''),
    /image 3 of .*train\.bin has class 3/,
  ],
  [
    'a test class that training lacks',
    'cifar100',
    'cifar100-binary',
    async (folder) => {
      const file = join(folder, TRAIN_BIN);
      const bytes = await readFile(file);
      for (let at = 1; at < bytes.length; at += 3074) if (bytes[at] === 3) bytes[at] = 2;
      await writeFile(file, bytes);
    },
    /test\.bin has images of class 'bear', which training lacks/,
  ],
  [
    'a cut pickle',
    'cifar100',
    'cifar100-python',
    cutBy('cifar-100-python/train', 5000),
    /train cannot be read as a Python/,
  ],
  [
    'a pickle one byte short',
    'cifar100',
    'cifar100-python',
    cutBy('cifar-100-python/test', 1),
    /test cannot be read as/,
  ],
  ['no meta', 'cifar100', 'cifar100-python', remove('cifar-100-python/meta'), /meta is missing/],
  [
    'a pickle that would run code',
    'cifar100',
    'cifar100-python',
    (folder) => writeFile(join(folder, 'cifar-100-python/meta'), "cposix\nsystem\n(S'true'\ntR."),
    /it asks for posix\.system/,
  ],
  ...(['binary', 'python'] as const).map(
    (form): Case => [
      `a cut archive (${form})`,
      'cifar100',
      `cifar100-${form}-archive`,
      cutBy(`cifar-100-${form}.tar.gz`, 700),
      /tar\.gz is damaged/,
    ],
  ),
  [
    'an archive that is none',
    'cifar100',
    'cifar100-python-archive',
    (folder) => writeFile(join(folder, 'cifar-100-python.tar.gz'), 'no archive at all'),
    /tar\.gz (?:is damaged|holds no file)/,
  ],
  ['nothing', 'cifar100', 'cifar100-binary', remove('cifar-100-binary'), /there is no CIFAR-100 in/],
  ['no image folder', 'places205', 'places205-lists', remove('images'), /but no folder of images/],
  ['no training list', 'places205', 'places205-lists', remove(TRAIN_CSV), /train_places205\.csv is missing/],
  [
    'a broken line',
    'places205',
    'places205-lists',
    edit(TRAIN_CSV, /gsun_01\.jpg 0/, 'gsun_01.jpg zero'),
    /line 2, is/,
  ],
  [
    'a line with a class too large',
    'places205',
    'places205-lists',
    edit(TRAIN_CSV, / 2\n/, ' 205\n'),
    /line 5, has class 205/,
  ],
  ['an image twice', 'places205', 'places205-lists', edit(TRAIN_CSV, 'gsun_11', 'gsun_10'), /twice, in lines 3 and 4/],
  [
    'a path that leaves the folder',
    'places205',
    'places205-lists',
    edit(TRAIN_CSV, 'a/abbey/', '../../'),
    /line 1, names '\.\.\//,
  ],
  ['only missing images', 'places205', 'places205-lists', remove('images/a'), /none of them is in/],
  [
    'a test class more',
    'places205',
    'places205-lists',
    edit(TRAIN_CSV, /.* 2\n.* 2\n/, ''),
    /'2', which training lacks/,
  ],
  ['neither lists nor folders', 'places205', 'places205-folders', remove('train'), /there is no Places205 in/],
  [
    'a test class that is new',
    'places205',
    'places205-folders',
    remove('train/alley'),
    /'alley', which training lacks/,
  ],
  ['no annotations', 'inat18', 'inat18', remove('val2018.json'), /val2018\.json is missing/],
  ['no images', 'inat18', 'inat18', remove('train_val2018'), /train_val2018 does not exist/],
  [
    'cut annotations',
    'inat18',
    'inat18',
    cutBy('train2018.json', 40),
    /train2018\.json is not JSON: .+, line 1, column \d+$/,
  ],
  [
    'an error in the third line',
    'inat18',
    'inat18',
    (folder) =>
      writeFile(join(folder, 'train2018.json'), '{\n  "images": [],\n  "annotations": nothing,\n  "more": 1\n}\n'),
    /is not JSON: Unexpected token 'o', line 3, column \d+$/,
  ],
  ['a missing field', 'inat18', 'inat18', edit('train2018.json', '"file_name"', '"file"'), /images\.0\.file_name/],
  ['an image twice', 'inat18', 'inat18', edit('train2018.json', '"id":2,', '"id":1,'), /has image 1 twice/],
  [
    'two annotations of an image',
    'inat18',
    'inat18',
    edit('train2018.json', '"image_id":2', '"image_id":1'),
    /two annotations/,
  ],
  [
    'an unknown category',
    'inat18',
    'inat18',
    edit('train2018.json', '"category_id":2', '"category_id":7'),
    /category 7/,
  ],
  [
    'a path that leaves the folder',
    'inat18',
    'inat18',
    edit('train2018.json', 'train_val2018/Plantae/0/train0.jpg', 'train_val2018/../../secret.jpg'),
    /names 'train_val2018\/\.\.\/\.\.\/secret\.jpg'/,
  ],
  ['scenes without images', 'clevr-count', 'clevr', remove('CLEVR_v1.0/images'), /images\/train does not exist/],
  [
    'scenes whose images are all missing',
    'clevr-dist',
    'clevr',
    async (folder) => {
      for (let index = 0; index < 5; index++)
        await rm(join(folder, `CLEVR_v1.0/images/val/CLEVR_val_00000${index}.png`));
    },
    /names 5 images, and none of them is in/,
  ],
  ['images without scenes', 'clevr-dist', 'clevr', remove(SCENES), /train_scenes\.json is missing/],
  ['cut scenes', 'clevr-dist', 'clevr', cutBy(SCENES, 30), /train_scenes\.json is not JSON: .+, line 1, column \d+$/],
  [
    'a scene twice',
    'clevr-count',
    'clevr',
    edit(SCENES, 'train_000001', 'train_000000'),
    /two scenes of CLEVR_train_000000/,
  ],
  [
    'a scene without objects',
    'clevr-dist',
    'clevr',
    edit(SCENES, /"objects":\[.*?\}\]/, '"objects":[]'),
    /no objects in/,
  ],
  [
    'an absolute path',
    'clevr-dist',
    'clevr',
    edit(SCENES, 'CLEVR_train_000002.png', '/etc/passwd'),
    /names '\/etc\/passwd'/,
  ],
  ['no training images', 'imagenet', 'imagenet', remove('train'), /train does not exist/],
  ['no test images', 'imagenet', 'imagenet', remove('val'), /has no test images/],
  ['a test class that is new', 'imagenet', 'imagenet', remove('train/n01440764'), /'n01440764', which training lacks/],
  [
    'unsorted test images',
    'imagenet',
    'imagenet',
    async (folder) => {
      await rename(join(folder, 'val/n01440764/ILSVRC2012_val_00000001.JPEG'), join(folder, 'val/1.JPEG'));
      await rm(join(folder, 'val/n01440764'), { recursive: true });
      await rm(join(folder, 'val/n01443537'), { recursive: true });
    },
    /val has images, but no folders that tell their classes/,
  ],
  ['no test images', 'folder', 'folder', remove('test'), /has no test images/],
  ['empty classes', 'folder', 'folder', remove('train'), /train does not exist/],
];

for (const [what, name, fixture, damage, message] of DAMAGES) {
  test(`${name} in ${fixture} with ${what} is refused in plain words`, async (t) => {
    const folder = await copyOf(t, fixture);
    await damage(folder);
    const error = await t.throwsAsync(openLabelled(name, folder), { instanceOf: PluginError, message });
    t.truthy(error?.advice.expected ?? error?.advice.remedy);
  });
}

for (const { name } of DATA_SETS.filter((candidate) => candidate.name !== 'shapes')) {
  test(`${name} says which folder it needs, and that one is not there`, async (t) => {
    await t.throwsAsync(openLabelled(name, null), { instanceOf: PluginError, message: /needs the folder/ });
    const missing = join(await temporaryFolder(t), 'none');
    await t.throwsAsync(openLabelled(name, missing), { instanceOf: PluginError, message: /none is not a folder/ });
    await t.throwsAsync(openLabelled(name, await temporaryFolder(t)), { instanceOf: PluginError });
  });
}
