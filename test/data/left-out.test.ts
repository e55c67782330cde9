import { spawnSync } from 'node:child_process';
import { mkdir, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { UserError } from '../../core/base/errors.js';
import { readText } from '../../core/base/text.js';
import { readSafetensors } from '../../core/checkpoint/safetensors.js';
import { openFolders } from '../../core/data/folder.js';
import { type LoaderSettings, loadBatches } from '../../core/data/loader.js';
import { openData } from '../../core/data/open.js';
import { readPicture } from '../../core/data/read-picture.js';
import { findShards } from '../../core/data/shards/find.js';
import { openShards } from '../../core/data/shards/open.js';
import { openLabelled } from '../../core/eval/labelled-data.js';
import { PluginError } from '../../core/plugin.js';
import cifar100 from '../../plugins/cifar100/index.js';
import folderPlugin from '../../plugins/folder/index.js';
import { temporaryFolder } from '../helpers/command.js';
import { pictureOf, writeFiles, writePictures } from '../helpers/shards.js';

const [FOLDER] = folderPlugin.dataSets;
const POINTER = 'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12345\n';

async function openClasses(folder: string) {
  const labelled = await FOLDER.openLabelled?.(folder);
  if (!labelled) throw new Error('the data set of folders has classes');
  return labelled;
}

function makePipe(path: string): void {
  const { status } = spawnSync('mkfifo', [path]);
  if (status !== 0) throw new Error(`no pipe can be made at ${path}`);
}

const namesOf = ({ length, item }: Awaited<ReturnType<typeof openFolders>>) =>
  Array.from({ length }, (_, index) => item(index).place);

test('what a folder holds and is not taken is counted and named once, with the reason', async (t) => {
  const folder = join(await temporaryFolder(t), 'photos');
  const taken = ['a.jpg', 'b.JPE', 'c.jfif', 'd.JFIF', 'below/e.jif', 'below/f.Jpeg'];
  const passed = ['g.heic', 'below/h.HEIF', 'i.bmp', 'j.cr2', 'k.psd', 'l.jxl', 'm.svg', 'shard.TAR', 'more.zip'];
  const hidden = [
    '.n.jpg',
    '@eaDir/o.jpg',
    '#recycle/p.jpg',
    '.thumbnails/q.jpg',
    '__MACOSX/r.jpg',
    '.DS_Store',
    'notes.md',
  ];
  await writeFiles(folder, Object.fromEntries([...taken, ...passed, ...hidden].map((name) => [name, 'x'])));
  await symlink('nowhere.jpg', join(folder, 'dead.jpg'));
  await symlink('round.jpg', join(folder, 'round.jpg'));
  await symlink('..', join(folder, 'below', 'up'));
  makePipe(join(folder, 'pipe.jpg'));
  for (const place of ['', 'below']) await utimes(join(folder, place), 1e9, 1e9);
  const images = await openFolders([folder]);
  t.deepEqual(namesOf(images), [...taken].sort());
  const notes = [
    ['1 folder left out: what was thrown away', '#recycle'],
    ['1 file left out: a name that starts with a dot', '.n.jpg'],
    ['1 folder left out: a name that starts with a dot', '.thumbnails'],
    ['1 folder left out: thumbnails of a file server', '@eaDir'],
    ["1 folder left out: the system's own data", '__MACOSX'],
    ['2 links left out: broken, in a circle or not permitted', 'dead.jpg'],
    ['2 pictures left out: HEIC is not read (convert them to JPEG or PNG)', 'g.heic'],
    ['1 picture left out: BMP is not read (convert them to JPEG or PNG)', 'i.bmp'],
    ["1 picture left out: a camera's raw data is not read (convert them to JPEG or PNG)", 'j.cr2'],
    ['1 picture left out: the form of Photoshop is not read (convert them to JPEG or PNG)', 'k.psd'],
    ['1 picture left out: JPEG XL is not read (convert them to JPEG or PNG)', 'l.jxl'],
    ['1 drawing left out: drawings are not read (convert them to PNG)', 'm.svg'],
    ['1 archive left out: nothing is taken out of archives (unpack them)', 'more.zip'],
    ['1 special file left out: pipes, sockets and devices are not read', 'pipe.jpg'],
    ['1 shard left out: not taken together with other files (name shards alone to train from them)', 'shard.TAR'],
  ].map(([what = '', example = '']) => `${what}${what.startsWith('1') ? ': ' : ', such as '}${join(folder, example)}`);
  t.deepEqual(images.notes, notes);

  const known = join(folder, '..', 'kept');
  await images.keepListing(known);
  t.deepEqual((await openFolders([folder], { known })).notes, notes, 'a kept listing says the same');
  await writeFile(join(folder, '..', 'mounted.jpg'), 'x');
  await rm(join(folder, 'dead.jpg'));
  await symlink('../mounted.jpg', join(folder, 'dead.jpg'));
  await utimes(folder, 1e9, 1e9);
  t.true(
    namesOf(await openFolders([folder], { known })).includes('dead.jpg'),
    'a folder with a broken link is looked at again',
  );
});

test('where no image is left, the message says what was there', async (t) => {
  const folder = await temporaryFolder(t);
  await writeFiles(folder, { 'a.heic': 'x', 'train/0.tar': 'x', 'other/0.tar': 'x' });
  const error = await t.throwsAsync(openData([folder], []), { instanceOf: UserError });
  t.regex(error?.message ?? '', /no images in[\s\S]*1 picture left out: HEIC[\s\S]*2 shards left out/);
});

test('lists are read as they come: with labels, marks and ends of lines, in UTF-8 and UTF-16', async (t) => {
  const folder = await temporaryFolder(t);
  await writeFiles(folder, { 'a b.jpg': 'x', 'c.png': 'xx', 'below/d.jpg': 'xxx' });
  makePipe(join(folder, 'pipe.jpg'));
  const plain = 'a b.jpg\nc.png\nbelow/d.jpg';
  const swapped = (text: string) => Buffer.from(text, 'utf16le').swap16();
  const forms: Record<string, string | Buffer> = {
    plain,
    labels: 'a b.jpg 3\n# 4\nc.png\tcat\nbelow/d.jpg, 5',
    windows: `\ufeff${plain.replaceAll('\n', '\r\n')}\r\n\r\n`,
    'utf-16': Buffer.from(`\ufeff${plain}`, 'utf16le'),
    'big-endian': swapped(`\ufeff${plain}`),
    unmarked: Buffer.from(plain, 'utf16le'),
    'unmarked big-endian': swapped(plain),
    'with a pipe and a folder': `pipe.jpg\n${plain}\nbelow`,
  };
  const list = join(folder, 'list.txt');
  const fingerprints = new Set<string>();
  for (const [form, content] of Object.entries(forms)) {
    await writeFile(list, content);
    const images = await openFolders([list]);
    t.deepEqual(namesOf(images), ['a b.jpg', 'c.png', 'below/d.jpg'], form);
    fingerprints.add(images.fingerprint);
    const expected = {
      labels: [/3 lines of .* passed over/],
      'with a pipe and a folder': [/that of a named pipe: pipe/, /that of a folder: below/],
    };
    const notes = images.notes ?? [];
    t.is(notes.length, form in expected ? expected[form as keyof typeof expected].length : 0, form);
    for (const [at, note] of notes.entries()) t.regex(note, expected[form as keyof typeof expected][at] as RegExp);
  }
  t.is(fingerprints.size, 1);
  await writeFile(list, 'gone.jpg\nc.png\nc.png');
  t.deepEqual((await openFolders([list])).notes, [
    `1 of 3 files that ${list} names are not there, such as gone.jpg`,
    '1 name left out: named before: c.png',
  ]);
  const refused: [string | Buffer, RegExp][] = [
    ['0 a.jpg\n1 b.jpg', /none of the 2 files that .*list\.txt names is there, such as 0 a\.jpg/],
    [Buffer.from([1, 0, 0, 2, 3]), /no list of names: it holds bytes of value 0/],
    [POINTER, /no list of names: its content is a pointer of Git LFS/],
  ];
  for (const [content, message] of refused) {
    await writeFile(list, content);
    await t.throwsAsync(openFolders([list]), { instanceOf: UserError, message });
  }
});

test('a pointer of Git LFS, a saved page and an answer of a server are told from the files that they stand for', async (t) => {
  const folder = await temporaryFolder(t);
  const path = join(folder, 'file');
  const contents = {
    [POINTER]: /a pointer of Git LFS/,
    '<!doctype HTML>\n<p>': /HTML/,
    '{"error": 404}': /JSON/,
    BM6: /BMP/,
  };
  for (const [content, message] of Object.entries(contents)) {
    await writeFile(path, content);
    await t.throwsAsync(readPicture({ name: 'it', source: path }, 1e6), { message });
    await t.throwsAsync(openShards([path], 'it'), { instanceOf: UserError, message });
    if (content !== 'BM6') await t.throwsAsync(readSafetensors(path), { instanceOf: UserError, message });
  }
  await writeFile(path, POINTER);
  await t.throwsAsync(readText(path), { instanceOf: UserError, message: /a pointer of Git LFS/ });
});

test('no reader waits for a pipe, whoever is to read it', async (t) => {
  const folder = await temporaryFolder(t);
  const pipe = join(folder, 'pipe');
  await writePictures(join(folder, 'photos'), 12);
  for (const part of ['train', 'val']) await writePictures(join(folder, 'sorted', part), 6);
  for (const name of [
    'pipe',
    'pipe.jpg',
    'pipe.txt',
    'pipe.tar',
    'photos/index.json',
    'photos/x.tar',
    'sorted/train/a/pipe.png',
  ]) {
    makePipe(join(folder, name));
  }
  await mkdir(join(folder, 'cifar-100-binary'));
  for (const name of ['train.bin', 'test.bin']) makePipe(join(folder, 'cifar-100-binary', name));
  const message = /is a named pipe/;
  for (const word of ['pipe.jpg', 'pipe.txt', 'pipe.tar']) {
    await t.throwsAsync(openData([join(folder, word)], []), { instanceOf: UserError, message }, word);
  }
  await t.throwsAsync(readText(pipe), { instanceOf: UserError, message });
  await t.throwsAsync(readSafetensors(pipe), { instanceOf: UserError, message });
  await t.throwsAsync(openShards([join(folder, 'pipe.tar')], 'it'), { instanceOf: UserError, message });
  await t.throwsAsync(findShards(join(folder, 'photos')), {
    instanceOf: UserError,
    message: /no shards in[\s\S]*special file/,
  });
  await t.throwsAsync(readPicture({ name: 'pipe', source: pipe }, 1e6), { message: /named pipe, no regular file/ });
  await t.throwsAsync(cifar100.dataSets[0].open(folder), { instanceOf: PluginError, message: /no CIFAR-100|missing/ });
  const sorted = await openClasses(join(folder, 'sorted'));
  t.is(sorted.train.length, 6);
  t.regex(
    sorted.notes?.join('\n') ?? '',
    /1 special file left out: pipes, sockets and devices are not read: .*pipe\.png/,
  );

  // A picture that becomes a pipe after it was listed, read by threads of their own.
  const images = await openData([join(folder, 'photos')], []);
  const { source } = images.item(3);
  await rm(source as string);
  makePipe(source as string);
  const settings: LoaderSettings = {
    ...{ seed: 0, batchSize: 6, shuffleBuffer: null, imageSize: 8, cropScale: [0.5, 1], cropAspect: [1, 1] },
    ...{ flip: 0, jitter: 0, blur: 0, pixelLimit: 1e6, aheadBytes: 1e6, decodeThreads: 2 },
  };
  const failed = new Set<string>();
  const unreadable = { add: (name: string, reason: string) => failed.add(`${name}: ${reason}`) };
  for await (const _ of loadBatches(images, settings, unreadable, 0, 60));
  t.deepEqual([...failed], [`${source}: it is a named pipe, no regular file`]);
});

test('class folders: what is no class and what is in none is told; names are bytes', async (t) => {
  const root = await temporaryFolder(t);
  for (const part of ['train', 'val']) {
    await writeFiles(join(root, part), {
      'a/1.jpg': 'x',
      'b/2.jpg': 'x',
      'loose.jpg': 'x',
      'a/raw.dng': 'x',
      '.cache/3.jpg': 'x',
    });
    await mkdir(join(root, part, 'empty'));
    await symlink('/nowhere/c', join(root, part, 'c'));
    await mkdir(Buffer.from(join(root, part, 'caf\xe9'), 'latin1'));
    await writeFile(Buffer.from(join(root, part, 'caf\xe9', '4.jpg'), 'latin1'), await pictureOf('4.jpg', 4));
  }
  const { classes, train, notes = [] } = await openClasses(root);
  t.deepEqual(classes, ['a', 'b', 'caf\\xe9']);
  t.deepEqual([train.length, train.classOf(2)], [3, 2]);
  t.true((await readPicture(train.item(2), 1e6)).width > 0);
  const ofTrain = notes.filter((note) => note.includes('/train'));
  t.is(ofTrain.length, notes.length / 2);
  for (const part of [
    /1 folder.*dot.*\.cache/,
    /1 link.*broken.*\/c$/,
    /1 picture.*raw.*a\/raw\.dng/,
    /1 picture.*beside the folders.*loose\.jpg/,
    /1 folder.*no class.*empty/,
  ]) {
    t.is(ofTrain.filter((note) => part.test(note)).length, 1, String(part));
  }
  t.deepEqual((await FOLDER.open(root)).notes, ofTrain, 'training without labels says the same');
});

test('a classifier needs two classes with training images: with fewer there is one message', async (t) => {
  const root = await temporaryFolder(t);
  const refused = (message: RegExp) =>
    t.throwsAsync(openLabelled(root, folderPlugin.dataSets), { instanceOf: UserError, message });
  await writeFiles(root, { 'train/only/1.jpg': 'x', 'train/only/2.jpg': 'x', 'val/only/3.jpg': 'x' });
  await refused(/two classes are needed, and all training images of .* are of one, 'only'/);
  await mkdir(join(root, 'train', 'empty'));
  await refused(/two classes are needed/);
  await writeFiles(root, { 'val/other/4.jpg': 'x' });
  await refused(/class 'other', which training lacks/);
  await writeFiles(root, { 'train/other/5.jpg': 'x' });
  t.is((await openLabelled(root, folderPlugin.dataSets)).data.classes.length, 2);
});
