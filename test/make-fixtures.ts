/**
 * Makes fixtures/data: data sets of a few pictures in the forms in which people have the real ones. Run after a build with
 * `node dist/test/make-fixtures.js`. The pickles come from fixtures/data/make_pickles.py, which it calls with `python3`, or what $PYTHON names (it needs
 * numpy).
 */
import { spawnSync } from 'node:child_process';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import sharp from 'sharp';
import * as tar from 'tar';
import { packShards } from '../core/data/shards/pack.js';
import folder from '../plugins/folder/index.js';
import { makeTar } from './helpers/archives.js';
import { FIXTURES } from './helpers/paths.js';

const DATA = join(FIXTURES, 'data');
const CIFAR_CLASSES = ['apple', 'aquarium_fish', 'baby', 'bear'];

/** [H, W, 3]: a gradient with a bright square, other colours and places for other numbers. */
function pixels(width: number, height: number, number: number): Buffer {
  const result = Buffer.alloc(width * height * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const isInside = (x + 5 * number) % width < width / 3 && (y + 3 * number) % height < height / 3;
      const colour = [isInside ? 240 : (x * 3) & 255, (number * 53) % 256, (y * 3 + number * 7) & 255];
      result.set(colour, (y * width + x) * 3);
    }
  }
  return result;
}

async function picture(path: string, number: number): Promise<void> {
  await write(path, await pictureFile(path, number));
}

async function pictureFile(path: string, number: number): Promise<Buffer> {
  const [width, height] = [24, 16];
  const image = sharp(pixels(width, height, number), { raw: { width, height, channels: 3 } });
  return path.endsWith('.png') ? image.png().toBuffer() : image.jpeg().toBuffer();
}

async function write(path: string, content: string | Uint8Array): Promise<void> {
  const place = join(DATA, path);
  await mkdir(dirname(place), { recursive: true });
  await writeFile(place, content);
}

async function writeJson(path: string, value: object): Promise<void> {
  await write(path, `${JSON.stringify(value)}\n`);
}

/** A record of CIFAR-100: coarse class, fine class, 32 x 32 values of red, then green, then blue. */
function cifarRecord(label: number, number: number): Buffer {
  const rgb = pixels(32, 32, number);
  const planes = [0, 1, 2].map((colour) => Buffer.from(rgb.filter((_, at) => at % 3 === colour)));
  return Buffer.concat([Buffer.of(label >> 1, label), ...planes]);
}

async function makeCifar(): Promise<void> {
  const records = (labels: number[], from: number) =>
    Buffer.concat(labels.map((label, at) => cifarRecord(label, from + at)));
  const folder = 'cifar100-binary/cifar-100-binary';
  await write(`${folder}/train.bin`, records([0, 1, 2, 3, 3, 2, 1, 0], 0));
  await write(`${folder}/test.bin`, records([1, 0, 3, 2], 8));
  await write(`${folder}/fine_label_names.txt`, `${CIFAR_CLASSES.join('\n')}\n`);
  const { status, stderr } = spawnSync(process.env.PYTHON ?? 'python3', [join(DATA, 'make_pickles.py')], {
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`make_pickles.py failed: ${stderr}`);
  for (const [form, source] of [
    ['cifar-100-binary', 'cifar100-binary'],
    ['cifar-100-python', 'cifar100-python'],
    ['cifar-100-python', 'cifar100-python3'],
  ] as const) {
    const archive = join(DATA, `${source}-archive`, `${form}.tar.gz`);
    await mkdir(dirname(archive), { recursive: true });
    await tar.create({ file: archive, cwd: join(DATA, source), gzip: true, portable: true, mtime: new Date(0) }, [
      form,
    ]);
  }
  await rm(join(DATA, 'cifar100-python3'), { recursive: true }); // only as an archive
}

async function makePlaces(): Promise<void> {
  const folders = ['a/abbey', 'a/airport_terminal', 'a/alley'];
  const lines: Record<'train' | 'val', string[]> = { train: [], val: [] };
  for (const [label, folder] of folders.entries()) {
    for (let number = 0; number < 3; number++) {
      const part = number < 2 ? 'train' : 'val';
      const name = `${folder}/gsun_${label}${number}.jpg`;
      await picture(`places205-lists/images/${name}`, 10 * label + number);
      await picture(`places205-folders/${part}/${folder.slice(2)}/gsun_${label}${number}.jpg`, 10 * label + number);
      lines[part].push(`${name} ${label}`);
    }
  }
  for (const part of ['train', 'val'] as const) {
    await write(`places205-lists/trainvalsplit_places205/${part}_places205.csv`, `${lines[part].join('\n')}\n`);
  }
}

async function makeInat(): Promise<void> {
  const categories = [
    { id: 0, name: 'Abies alba', supercategory: 'Plantae' },
    { id: 1, name: 'Apis mellifera', supercategory: 'Insecta' },
    { id: 2, name: 'Corvus corax', supercategory: 'Aves' },
  ];
  const parts: Record<string, number[]> = { train: [0, 0, 1, 1, 2, 2], val: [2, 1, 0] };
  for (const [part, classes] of Object.entries(parts)) {
    const first = part === 'train' ? 1 : 101;
    const images = classes.map((category, at) => ({
      id: first + at,
      file_name: `train_val2018/${categories[category]?.supercategory}/${category}/${part}${at}.jpg`,
      width: 24,
      height: 16,
    }));
    for (const { id, file_name } of images) await picture(`inat18/${file_name}`, id);
    const annotations = classes.map((category_id, at) => ({ id: first + at, image_id: first + at, category_id }));
    await writeJson(`inat18/${part}2018.json`, { info: { year: 2018 }, images, annotations, categories });
  }
}

/** Nearest distances at the thresholds of the classes and beside them, and how many objects there are. */
const CLEVR: Record<string, [nearest: number, objects: number][]> = {
  train: [
    [7.999, 3],
    [8.0, 4],
    [8.001, 5],
    [8.5, 6],
    [9.0, 3],
    [9.5, 4],
    [10.0, 5],
    [10.001, 6],
    [12.3, 10],
  ],
  val: [
    [7.5, 3],
    [8.25, 4],
    [9.75, 9],
    [11, 5],
    [9.5, 10],
  ],
};

async function makeClevr(): Promise<void> {
  for (const [part, scenes] of Object.entries(CLEVR)) {
    const described = scenes.map(([nearest, count], index) => ({
      image_index: index,
      image_filename: `CLEVR_${part}_${String(index).padStart(6, '0')}.png`,
      split: part,
      objects: Array.from({ length: count }, (_, at) => ({
        color: 'red',
        shape: 'cube',
        // The nearest object is the last one, so that its place in the list tells nothing.
        pixel_coords: [20 + at, 30 + at, at === count - 1 ? nearest : nearest + 0.4 * (at + 1)],
      })),
    }));
    for (const { image_filename, image_index } of described) {
      await picture(`clevr/CLEVR_v1.0/images/${part}/${image_filename}`, image_index + (part === 'train' ? 0 : 50));
    }
    await writeJson(`clevr/CLEVR_v1.0/scenes/CLEVR_${part}_scenes.json`, { info: { split: part }, scenes: described });
  }
}

async function makeFolders(): Promise<void> {
  for (const [label, name] of ['n01440764', 'n01443537'].entries()) {
    for (const number of [1, 2, 3]) await picture(`imagenet/train/${name}/${name}_${number}.JPEG`, 10 * label + number);
    await picture(`imagenet/val/${name}/ILSVRC2012_val_0000000${label + 1}.JPEG`, 10 * label + 5);
  }
  await write('imagenet/1percent.txt', 'n01443537_2.JPEG\nn01440764_3.JPEG\n');
  for (const [label, name] of ['cat', 'dog'].entries()) {
    await picture(`folder/train/${name}/one.png`, 10 * label);
    await picture(`folder/train/${name}/more/two.jpg`, 10 * label + 1);
    await picture(`folder/test/${name}/three.png`, 10 * label + 2);
  }
}

/** Shards as the WebDataset library writes them, and as this program does. */
async function makeShards(): Promise<void> {
  const shards = { 'train-000000': [0, 1, 2], 'train-000001': [2, 0], 'val-000000': [1, 2, 0] };
  let number = 0;
  for (const [shard, labels] of Object.entries(shards)) {
    const entries = [];
    for (const label of labels) {
      const key = String(number++).padStart(6, '0');
      entries.push({ name: `${key}.cls`, content: String(label) });
      entries.push({ name: `${key}.jpg`, content: await pictureFile('x.jpg', number) });
      entries.push({ name: `${key}.json`, content: JSON.stringify({ label, source: number }) });
    }
    await write(`webdataset-plain/${shard}.tar`, makeTar(entries));
  }
  const labelled = await folder.dataSets[0]?.openLabelled?.(join(DATA, 'folder'));
  if (!labelled) throw new Error('the data set folder has no labels');
  await rm(join(DATA, 'webdataset-packed'), { recursive: true, force: true });
  await packShards({
    folder: join(DATA, 'webdataset-packed'),
    train: labelled.train,
    val: labelled.test,
    classes: labelled.classes,
    resize: null,
    quality: 90,
    imagesPerShard: 3,
    shardBytes: null,
    pixelLimit: 1e6,
    console: { line() {}, transfer: () => ({ update() {}, stop() {} }) },
    signal: new AbortController().signal,
  });
}

await mkdir(DATA, { recursive: true });
await makeCifar();
await makePlaces();
await makeInat();
await makeClevr();
await makeFolders();
await makeShards();
