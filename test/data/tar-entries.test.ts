import { spawnSync } from 'node:child_process';
import { statSync } from 'node:fs';
import { link, mkdir, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { bytesOfName, nameFromBytes } from '../../core/base/file-names.js';
import { openShards } from '../../core/data/shards/open.js';
import type { ReadingPlan } from '../../core/plugin.js';
import { makeTar } from '../helpers/archives.js';
import { temporaryFolder } from '../helpers/command.js';

/** Images that follow one another are fetched together. */
const TOGETHER: ReadingPlan = { neighbours: 4, together: 4, bytes: 1e6, signal: new AbortController().signal };

/** Name and content of the images of a shard, read one by one or many at a time, and what is said of it. */
async function read(shard: string, plan: ReadingPlan | null = null) {
  const opened = await openShards([shard], 'the shard');
  const images = (plan && opened.forReading?.(plan)) ?? opened;
  const found = new Map<string, string>();
  for (let index = 0; index < images.length; index++) {
    const { place = '', source } = images.item(index);
    if (typeof source !== 'string')
      found.set(place.replace(/^\.\//, ''), Buffer.from(await source()).toString('latin1'));
  }
  return { found, notes: opened.notes ?? [] };
}

function tar(folder: string, ...args: string[]): void {
  const { status, stderr } = spawnSync('tar', ['-C', folder, ...args], { encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
}

test('hard links and symbolic links of a shard are the files to which they lead; others are counted and named', async (t) => {
  const folder = await temporaryFolder(t);
  const source = join(folder, 'source');
  await mkdir(join(source, 'below'), { recursive: true });
  for (const name of ['1.jpg', '2.jpg', '3.jpg']) await writeFile(join(source, name), name);
  await writeFile(join(source, '1.cls'), '7');
  await link(join(source, '1.cls'), join(source, '2.cls'));
  await link(join(source, '1.jpg'), join(source, 'copy.jpg'));
  await symlink('../3.jpg', join(source, 'below', 'z.jpg'));
  await symlink('z.jpg', join(source, 'below', 'twice.jpg'));
  await symlink('/somewhere/else.jpg', join(source, 'gone.jpg'));
  await symlink('circle.jpg', join(source, 'circle.jpg'));
  const shard = join(folder, 'links.tar');
  tar(source, '--sort=name', '-cf', shard, '.');
  for (const plan of [null, TOGETHER]) {
    const { found, notes } = await read(shard, plan);
    t.deepEqual(
      found,
      new Map([
        ['1.jpg', '1.jpg'],
        ['2.jpg', '2.jpg'],
        ['3.jpg', '3.jpg'],
        ['below/twice.jpg', '3.jpg'],
        ['below/z.jpg', '3.jpg'],
        ['copy.jpg', '1.jpg'],
      ]),
    );
    t.deepEqual(notes, [`2 links left out: no such file in the shard, such as ${shard}/circle.jpg`]);
  }
  const { classOf } = await openShards([shard], 'the shard');
  t.deepEqual([classOf(0), classOf(1)], [7, 7], 'a class may be a link as well');
});

test('files with holes come whole out of a shard, in every form that tar has', async (t) => {
  const folder = await temporaryFolder(t);
  const expected = new Map<string, string>();
  // Holes at the end, at the beginning, and more parts than fit into a header.
  for (const [name, places] of Object.entries({
    'a.jpg': [0],
    'b.jpg': [200_000],
    'c.jpg': Array.from({ length: 40 }, (_, at) => at * 65_536),
  })) {
    const content = Buffer.alloc(40 * 65_536 + 3);
    for (const place of places) content.write(`part at ${place}`, place);
    await writeFile(join(folder, name), '');
    await truncate(join(folder, name), content.length);
    for (const place of places) {
      const args = [`of=${join(folder, name)}`, 'bs=1', `seek=${place}`, 'conv=notrunc', 'status=none'];
      spawnSync('dd', args, { input: `part at ${place}` });
    }
    expected.set(name, content.toString('latin1'));
  }
  await writeFile(join(folder, 'd.jpg'), 'without');
  expected.set('d.jpg', 'without');
  for (const form of [
    '--format=gnu',
    '--format=pax --sparse-version=0.0',
    '--format=pax --sparse-version=0.1',
    '--format=pax --sparse-version=1.0',
  ]) {
    const shard = join(folder, 'sparse.tar');
    tar(folder, ...form.split(' '), '-Scf', shard, ...expected.keys());
    t.true(statSync(shard).size < 1e6, 'the holes are not in the archive');
    for (const plan of [null, TOGETHER]) {
      const { found, notes } = await read(shard, plan);
      t.deepEqual([...found.keys()], [...expected.keys()], form);
      for (const [name, content] of found) t.true(content === expected.get(name), `${name} in ${form}`);
      t.deepEqual(notes, []);
    }
  }
});

test('a map of holes that cannot be is no reason to read anything else', async (t) => {
  const folder = await temporaryFolder(t);
  const shard = join(folder, 'x.tar');
  const header = (value: string) => `${value.length + 4} ${value}\n`;
  const entries = ['0,9', '5,1', '0,x', '0'].flatMap((map, at) => [
    {
      name: 'pax',
      type: 'ExtendedHeader' as const,
      content: header(`GNU.sparse.size=4`) + header(`GNU.sparse.map=${map}`),
    },
    { name: `${at}.jpg`, content: 'x' },
  ]);
  await writeFile(shard, makeTar([...entries, { name: 'y.jpg', content: 'y' }]));
  const { found, notes } = await read(shard);
  t.deepEqual([...found], [['y.jpg', 'y']]);
  t.deepEqual(notes, [`4 entries left out: a map of holes that makes no sense, such as ${shard}/0.jpg`]);
});

test('names that are not UTF-8 come out of shards of every format with their bytes', async (t) => {
  const folder = await temporaryFolder(t);
  const source = join(folder, 'source');
  await mkdir(source);
  const names = ['caf\xe9.jpg', 'th\xe9.jpg', `${'\xfc'.repeat(150)}.jpg`].map((name) => Buffer.from(name, 'latin1'));
  for (const name of names) {
    await writeFile(Buffer.concat([Buffer.from(`${source}/`), name]), name);
  }
  for (const format of ['gnu', 'pax']) {
    const shard = join(folder, `${format}.tar`);
    tar(source, `--format=${format}`, '--sort=name', '-cf', shard, '.');
    const { found } = await read(shard);
    t.deepEqual(
      [...found.keys()].map((name) => bytesOfName(name).toString('latin1')).sort(),
      names.map((name) => name.toString('latin1')).sort(),
    );
    for (const [name, content] of found) t.is(name, nameFromBytes(Buffer.from(content, 'latin1')));
    const { name } = (await openShards([shard], 'it')).item(0);
    t.is(name, `${shard}/./caf\\xe9.jpg`.replace('/./', '/'), 'a name is shown in one line of valid text');
  }
});
