import { spawnSync } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import test, { type ExecutionContext } from 'ava';
import * as fc from 'fast-check';
import { Pax } from 'tar';
import { UserError } from '../../core/base/errors.js';
import { beside, expandBraces, inside, nameOf, namesShards } from '../../core/data/shards/address.js';
import { findShards } from '../../core/data/shards/find.js';
import { RecentlyUsed } from '../../core/data/shards/images.js';
import { parsePackIndex, parseShardIndex } from '../../core/data/shards/index-file.js';
import { openShards } from '../../core/data/shards/open.js';
import { readSamples, splitKey } from '../../core/data/shards/samples.js';
import { END_MARK, SampleNames, tarEntry } from '../../core/data/shards/write-shard.js';
import { type MadeEntry, makeTar } from '../helpers/archives.js';
import { temporaryFolder } from '../helpers/command.js';
import { bufferSource, writeFiles } from '../helpers/shards.js';

const samplesIn = (bytes: Buffer) => readSamples(bufferSource('x.tar', bytes));

/** Name, content and class of each sample of an archive. */
async function contents(bytes: Buffer): Promise<[name: string, content: string, label: number][]> {
  const samples = await samplesIn(bytes);
  return Array.from({ length: samples.length }, (_, at) => {
    const offset = samples.offsets[at] as number;
    const content = bytes.subarray(offset, offset + (samples.sizes[at] as number)).toString();
    return [samples.names.at(at), content, samples.classes[at] as number];
  });
}

test('braces stand for numbers with as many digits as the first, for lists, and for all their combinations', (t) => {
  const cases: Record<string, string[]> = {
    'x.tar': ['x.tar'],
    't-{08..11}.tar': ['t-08.tar', 't-09.tar', 't-10.tar', 't-11.tar'],
    't-{9..10}': ['t-9', 't-10'],
    '{a,b}/{0..1}.tar': ['a/0.tar', 'a/1.tar', 'b/0.tar', 'b/1.tar'],
    '{train,}{1..1}': ['train1', '1'],
    'http://h/{000000..000001}.tar?k={x,y}': [
      'http://h/000000.tar?k=x',
      'http://h/000000.tar?k=y',
      'http://h/000001.tar?k=x',
      'http://h/000001.tar?k=y',
    ],
  };
  for (const [pattern, words] of Object.entries(cases)) t.deepEqual(expandBraces(pattern), words, pattern);
});

test('braces that mean nothing are refused, and so are endless ones', (t) => {
  const cases: Record<string, RegExp> = {
    '{0..3': /braces do not match/,
    '0..3}.tar': /braces do not match/,
    '{a{b}}': /braces do not match/,
    '{5..3}.tar': /leads downwards/,
    '{a}.tar': /neither a range nor a list/,
    '{}.tar': /neither a range nor a list/,
    '{0..99999999999}.tar': /more than 1000000 names/,
    '{0..9999}{0..9999}': /more than 1000000 names/,
  };
  for (const [pattern, message] of Object.entries(cases)) {
    t.throws(() => expandBraces(pattern), { instanceOf: UserError, message }, pattern);
  }
});

test('shards are told from other words, and their neighbours found', (t) => {
  for (const word of ['a.tar', 'A.TAR', 'x/{0..3}.tar', 'http://h/x', 'https://h/a.tar?x=1', 'a.tar.gz', 'a.tgz']) {
    t.true(namesShards(word), word);
  }
  for (const word of ['photos', 'shapes:20', 'a.txt', 'tar', 'folder:x']) t.false(namesShards(word), word);
  t.is(beside('a/b/t-0.tar', 'index.json'), 'a/b/index.json');
  t.is(beside('http://h/a/t-0.tar?key=1', 'index.json'), 'http://h/a/index.json?key=1');
  t.is(inside('http://h/a?key=1', 't-0.tar'), 'http://h/a/t-0.tar?key=1');
  t.is(nameOf('http://h/a/t%200.tar?key=1'), 't 0.tar');
});

test('a sample is what has one key: the first image whose extension is exactly that of one, and the number in .cls', async (t) => {
  const entries: MadeEntry[] = [
    { name: './a/1.cls', content: ' 3\n' },
    { name: './a/1.json', content: '{}' },
    { name: './a/1.mask.png', content: 'mask' },
    { name: './a/1.JPG', content: 'first' },
    { name: './a/1.png', content: 'second' },
    { name: 'a/2.jpeg', content: 'no class' },
    { name: 'a/2.cls', content: 'cat' },
    { name: 'b/2.webp', content: 'another folder' },
    { name: 'b', type: 'Directory' },
    { name: 'b/photo.2020.jpg', content: 'a dot in the name' },
    { name: 'b/._3.jpg', content: 'not an image' },
    { name: 'b/4.txt', content: 'no image' },
    { name: 'b/5.gif', type: 'SymbolicLink', linkpath: '../4.txt' },
    { name: 'b/8.heic', content: 'not read' },
    { name: '__MACOSX/9.jpg', content: 'of the system' },
    { name: 'c.jpg', type: 'CharacterDevice' },
    { name: '6', content: 'nothing known' },
    { name: '7.tif', content: '' },
    { name: '7.cls', content: '0' },
  ];
  const archive = makeTar(entries);
  t.deepEqual(await contents(archive), [
    ['a/1.JPG', 'first', 3],
    ['a/2.jpeg', 'no class', -2],
    ['b/2.webp', 'another folder', -1],
    ['b/photo.2020.jpg', 'a dot in the name', -1],
    ['7.tif', '', 0],
  ]);
  const { leftOut, texts } = await samplesIn(archive);
  t.deepEqual(texts, ['cat']);
  t.deepEqual(
    leftOut.map(({ noun, count, example }) => [noun, count, example]),
    [
      ['image', 2, 'a/1.mask.png'],
      ['image', 1, 'b/._3.jpg'],
      ['link', 1, 'b/5.gif'],
      ['picture', 1, 'b/8.heic'],
      ['image', 1, '__MACOSX/9.jpg'],
      ['entry', 1, 'c.jpg'],
    ],
  );
  t.deepEqual(splitKey('a.b/c.seg.PNG'), ['a.b/c', 'seg.png']);
});

test('names of any length and script come back from what is written, and from what the system writes', async (t) => {
  const names = [
    'short.jpg',
    `${'d'.repeat(90)}/${'e'.repeat(60)}/name.jpg`,
    `${'long'.repeat(40)}.png`,
    `${'folder/'.repeat(40)}x.jpg`,
    'Füße/北京 и другие.jpg',
    'spaces and {braces}.jpg',
  ];
  const written = Buffer.concat([
    ...names.flatMap((name) => {
      const content = Buffer.from(name);
      const { head, padding } = tarEntry(name, content);
      return [head, content, padding];
    }),
    END_MARK,
  ]);
  t.deepEqual(
    await contents(written),
    names.map((name) => [name, name, -1]),
  );
  const folder = await temporaryFolder(t);
  await writeFiles(folder, Object.fromEntries(names.map((name) => [name, name])));
  for (const format of ['gnu', 'ustar', 'pax', 'v7']) {
    const fitting = format === 'ustar' ? names.slice(0, 2) : format === 'v7' ? names.slice(0, 1) : names;
    const args = [`--format=${format}`, '-cf', '-', '-C', folder, ...fitting];
    const { stdout, status, stderr } = spawnSync('tar', args, { maxBuffer: 1e8 });
    t.is(status, 0, String(stderr));
    t.deepEqual(
      await contents(stdout),
      fitting.map((name) => [name, name, -1]),
      format,
    );
  }
  await writeFile(join(folder, 'ours.tar'), written);
  const list = spawnSync('tar', ['-tf', join(folder, 'ours.tar'), '--quoting-style=literal'], { encoding: 'utf8' });
  t.deepEqual(list.stdout.trimEnd().split('\n'), names, 'the system reads what is written');
});

test('whatever is written in whatever order, the same samples are read', async (t) => {
  const name = fc
    .tuple(fc.constantFrom('', 'a/', 'a/b/'), fc.stringMatching(/^[a-z0-9]{1,12}$/))
    .map((parts) => parts.join(''));
  const sample = fc.record({
    name,
    extension: fc.constantFrom('jpg', 'PNG', 'jpeg'),
    content: fc.uint8Array({ maxLength: 1500 }),
    label: fc.option(fc.nat(999)),
    isLabelFirst: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(sample, { selector: (value) => value.name, maxLength: 12 }), async (samples) => {
      const entries = samples.flatMap((value) => {
        const image = { name: `${value.name}.${value.extension}`, content: Buffer.from(value.content) };
        const label = { name: `${value.name}.cls`, content: String(value.label) };
        if (value.label === null) return [image];
        return value.isLabelFirst ? [label, image] : [image, label];
      });
      const read = await contents(makeTar(entries));
      t.deepEqual(
        read,
        samples.map(({ name, extension, content, label }) => [
          `${name}.${extension}`,
          Buffer.from(content).toString(),
          label ?? -1,
        ]),
      );
    }),
    { numRuns: 60 },
  );
});

test('a shard that is cut, damaged or something else is told with the byte', async (t) => {
  const whole = makeTar([
    { name: '1.jpg', content: 'x'.repeat(700) },
    { name: '2.jpg', content: 'y' },
  ]);
  const second = 512 + 1024;
  const flipped = Buffer.from(whole);
  flipped[second + 3] = 0xff;
  const cases: [what: string, bytes: Buffer, message: RegExp][] = [
    ['empty', Buffer.alloc(0), /x\.tar is damaged at byte 0: it is empty/],
    ['text', Buffer.from('hello'), /x\.tar is no tar archive: byte 0/],
    [
      'a pointer',
      Buffer.from('version https://git-lfs.github.com/spec/v1\noid'),
      /its content is a pointer of Git LFS/,
    ],
    ['a picture', Buffer.alloc(4000, 7), /x\.tar is no tar archive: byte 0/],
    [
      'packed',
      gzipSync(Buffer.from('x'.repeat(3000)), { level: 0 }),
      /no tar archive: its content is packed with gzip/,
    ],
    ['a header', flipped, /x\.tar is damaged at byte 1536: what should be a header is none/],
    ['cut in a header', whole.subarray(0, second + 100), /damaged at byte 1536: .*cut off/],
    ['cut in an image', whole.subarray(0, 900), /damaged at byte 0: 1\.jpg has 700 bytes, of which 388 are there/],
    ['cut between images', whole.subarray(0, second), /damaged at byte 1536: .*without the end mark/],
    ['a huge name', hugeName(), /damaged at byte 0: a header of 2097152 bytes/],
  ];
  for (const [what, bytes, message] of cases) {
    await t.throwsAsync(samplesIn(bytes), { instanceOf: UserError, message }, what);
  }
});

function hugeName(): Buffer {
  return Buffer.concat([makeTar([{ name: 'x', type: 'NextFileHasLongPath', content: Buffer.alloc(2 << 20, 97) }])]);
}

test('any damage to a shard gives samples that lie within it, or a message', async (t) => {
  const { head, padding } = tarEntry(`${'n'.repeat(150)}.jpg`, Buffer.alloc(600));
  const pax = new Pax({ path: 'p'.repeat(300), size: 3 }).encode();
  const whole = Buffer.concat([pax, head, Buffer.alloc(600), padding, makeTar([{ name: '2.cls', content: '1' }])]);
  const change = fc.tuple(fc.nat(whole.length - 1), fc.nat(255));
  await fc.assert(
    fc.asyncProperty(
      fc.array(change, { minLength: 1, maxLength: 4 }),
      fc.nat(whole.length),
      async (changes, length) => {
        const bytes = Buffer.from(whole);
        for (const [at, value] of changes) bytes[at] = value;
        const damaged = bytes.subarray(0, length);
        const samples = await samplesIn(damaged).catch((error: unknown) => {
          t.true(error instanceof UserError, String(error));
          return null;
        });
        samples?.offsets.forEach((offset, at) => {
          t.true(offset + (samples.sizes[at] as number) <= damaged.length);
        });
      },
    ),
    { numRuns: 300 },
  );
});

test('a damaged index is told with the place, and that of something else is passed over', (t) => {
  const columns = { names: ['a.jpg', 'b.jpg'], offsets: [512, 1536], sizes: [10, 20], classes: [0, 1] };
  const shard = {
    format: 'ijepa-shard-1',
    bytes: 4096,
    sha256: '0'.repeat(64),
    first: 0,
    next: 2,
    skipped: [],
    ...columns,
  };
  t.deepEqual(parseShardIndex(JSON.stringify(shard), 'x.json').names, ['a.jpg', 'b.jpg']);
  const wrong: [object, RegExp][] = [
    [{ sizes: [10] }, /x\.json is damaged: its columns are not all of 2 rows/],
    [{ sizes: [2000, 20] }, /row 1 lies at byte 1536, where it cannot be/],
    [{ offsets: [512, 9999] }, /row 1 lies at byte 9999/],
    [{ offsets: [-1, 0] }, /offsets\.0/],
    [{ sha256: 'x' }, /sha256/],
    [{ format: 'ijepa-shard-2' }, /format/],
  ];
  for (const [change, message] of wrong) {
    t.throws(() => parseShardIndex(JSON.stringify({ ...shard, ...change }), 'x.json'), {
      instanceOf: UserError,
      message,
    });
  }
  t.throws(() => parseShardIndex('{"format":', 'x.json'), { instanceOf: UserError, message: /x\.json is damaged/ });
  for (const other of ['{}', 'not json', '[1]', 'null', '{"format": 3}']) t.is(parsePackIndex(other, 'x'), null, other);
  const index = { format: 'ijepa-shards-1', splits: { train: { images: 1, shards: [{ name: '../x.tar' }] } } };
  t.throws(() => parsePackIndex(JSON.stringify(index), 'index.json'), {
    instanceOf: UserError,
    message: /index\.json is/,
  });
});

test('the part of a shard is told by its name: val goes before test, and what tells nothing is for training', async (t) => {
  const names = async (pattern: string) => {
    const { train, test: tests } = await findShards(pattern);
    return [train, tests];
  };
  t.deepEqual(await names('{train,val}-{0..1}.tar'), [
    ['train-0.tar', 'train-1.tar'],
    ['val-0.tar', 'val-1.tar'],
  ]);
  t.deepEqual(await names('x1k-{validation,train,test}-00.tar'), [['x1k-train-00.tar'], ['x1k-validation-00.tar']]);
  t.deepEqual(await names('{constrained,a-test}.tar'), [['constrained.tar'], ['a-test.tar']]);
});

async function refusal(t: ExecutionContext, places: readonly string[], message: RegExp): Promise<void> {
  await t.throwsAsync(openShards(places, places.join(', ')), { instanceOf: UserError, message });
}

test('shards that are not there, are folders or hold no images are refused by name', async (t) => {
  const folder = await temporaryFolder(t);
  await mkdir(join(folder, 'folder.tar'));
  await writeFile(join(folder, 'texts.tar'), makeTar([{ name: 'a.txt', content: 'x' }]));
  await writeFile(join(folder, 'good.tar'), makeTar([{ name: 'a.jpg', content: 'x' }]));
  await refusal(t, [join(folder, 'good.tar'), join(folder, 'none.tar')], /none\.tar does not exist/);
  await refusal(t, [join(folder, 'folder.tar')], /folder\.tar is a folder/);
  await refusal(t, [join(folder, 'texts.tar')], /no images in .*texts\.tar/);
  t.is((await openShards([join(folder, 'good.tar'), join(folder, 'texts.tar')], 'both')).length, 1);
});

test('keys within a shard are unique, safe, and names stay as they are where they can', (t) => {
  const names = new SampleNames();
  const take = (place: string, extension: string | null = null) => {
    const { key, extension: end } = names.take(place, extension);
    return key + end;
  };
  t.is(take('a/b/cat.JPEG'), 'a/b/cat.JPEG');
  t.is(take('a/b/cat.png'), 'a/b/cat-2.png');
  t.is(take('a/b/cat.png', 'jpg'), 'a/b/cat-3.jpg');
  t.is(take('a/photo.2020.01.jpg'), 'a/photo_2020_01.jpg');
  t.is(take('shapes/7', 'png'), 'shapes/7.png');
  t.is(take('/etc/../x/./y.png'), 'etc/x/y.png');
  t.is(take('C:\\pictures\\z.png'), 'pictures/z.png');
  t.is(take('line\nbreak.png'), 'line_break.png');
  t.is(take('..', 'png'), 'image.png');
});

test('what was used last is kept, up to a number of bytes', (t) => {
  const made: number[] = [];
  const kept = new RecentlyUsed<number>(100);
  const get = (key: number) =>
    kept.get(key, 40, () => {
      made.push(key);
      return key;
    });
  for (const key of [1, 2, 1, 3, 1, 2, 3]) t.is(get(key), key);
  t.deepEqual(made, [1, 2, 3, 2, 3]);
});
