import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { cp, mkdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import test from 'ava';
import sharp from 'sharp';
import { RandomStream } from '../../core/base/random.js';
import { randomCropBox, randomCrops } from '../../core/data/crop.js';
import { startDecoders } from '../../core/data/decoders.js';
import { openFolders } from '../../core/data/folder.js';
import type { Picture } from '../../core/data/picture.js';
import { readPicture } from '../../core/data/read-picture.js';
import { resample } from '../../core/data/resample/resample.js';
import { startEngine } from '../../core/engine/start.js';
import { extractFeatures } from '../../core/eval/features.js';
import { atImageSize, loadNetwork } from '../../core/eval/network.js';
import { testView, trainView } from '../../core/eval/views.js';
import { ijepaHere, temporaryFolder } from '../helpers/command.js';
import { ROOT } from '../helpers/paths.js';

const FOLDER = join(ROOT, 'fixtures/pictures');
const LIMIT = 1e8;
const json = (name: string) => JSON.parse(readFileSync(join(FOLDER, name), 'utf8'));

/** The picture that `make_golden.py` makes, too. */
function pattern(width: number, height: number): Picture {
  const rgb = new Uint8Array(width * height * 3);
  let at = 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let c = 0; c < 3; c++) rgb[at++] = x * x * 31 + y * y * 17 + x * y * 7 + c * 101;
    }
  }
  return { width, height, rgb };
}

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

function pngOf({ width, height, rgb }: Picture) {
  const png = sharp(rgb, { raw: { width, height, channels: 3 } }).png({ compressionLevel: 1 });
  return { name: 'test', source: () => png.toBuffer() };
}

interface Crop {
  size: [number, number];
  box: [number, number, number, number];
  target: [number, number];
  interpolation: 'bilinear' | 'bicubic';
  sha256: string;
}

test("crops are Pillow's, bit for bit: enlarged, reduced, of part of a picture, bilinear and bicubic", (t) => {
  const { crops } = json('resized.json') as { crops: Crop[] };
  for (const { size, box, target, interpolation, sha256: expected } of crops) {
    const [left, top, right, bottom] = box;
    const [width, height] = target;
    const part = { left, top, width: right - left, height: bottom - top };
    const pixels = resample(pattern(...size), { interpolation, box: part, width, height });
    t.is(sha256(pixels), expected, `${size} ${box} ${target} ${interpolation}`);
  }
  t.true(crops.length > 20);
});

interface View {
  size: [number, number];
  imageSize: number;
  interpolation: 'bilinear' | 'bicubic';
  transform: 'crop' | 'squash';
  sha256: string;
}

test("test views are those of torchvision's Resize and CenterCrop, bit for bit", async (t) => {
  const { views } = json('resized.json') as { views: View[] };
  const pictures = new Map(views.map(({ size }) => [String(size), pngOf(pattern(...size))]));
  for (const { size, sha256: expected, ...settings } of views) {
    const item = pictures.get(String(size)) as ReturnType<typeof pngOf>;
    const pixels = await testView(item, { ...settings, pixelLimit: LIMIT });
    t.is(sha256(pixels), expected, `${size} ${JSON.stringify(settings)}`);
  }
  t.is(views.length, 48);
});

test('a part of a resized picture is that part of the whole one, whatever the part', (t) => {
  const picture = pattern(97, 140);
  const whole = { interpolation: 'bicubic', box: { left: 3, top: 9, width: 90, height: 121 } } as const;
  for (const [width, height] of [
    [41, 30],
    [130, 60],
    [200, 250],
  ] as const) {
    const all = resample(picture, { ...whole, width, height });
    for (let seed = 0; seed < 20; seed++) {
      const window = randomCropBox(width, height, [0.01, 1], [0.2, 5], new RandomStream(seed, 'window'));
      const part = resample(picture, { ...whole, width, height, window });
      for (let row = 0; row < window.height; row++) {
        const from = ((window.top + row) * width + window.left) * 3;
        const expected = all.subarray(from, from + window.width * 3);
        if (Buffer.compare(expected, part.subarray(row * window.width * 3, (row + 1) * window.width * 3)) !== 0) {
          t.fail(`row ${row} of ${JSON.stringify(window)}`);
        }
      }
    }
  }
  t.pass();
});

test('training crops out of the same pixels: bilinear in pretraining, as asked for in evaluation', async (t) => {
  const picture = pattern(500, 375);
  const item = pngOf(picture);
  const side = { width: 224, height: 224 };
  const stream = () => new RandomStream(0, 'crop', 7);
  const scale = [0.3, 1] as const;
  const aspect = [3 / 4, 4 / 3] as const;
  const plain = { flip: 0, jitter: 0, blur: 0, pixelLimit: LIMIT } as const;
  const settings = { ...plain, imageSize: 224, cropScale: scale, cropAspect: aspect };
  const crop = await randomCrops(item, [{ name: 'image', count: 1, crop: settings }], 0, [7]);
  const box = randomCropBox(500, 375, scale, aspect, stream());
  t.deepEqual(crop, resample(picture, { interpolation: 'bilinear', box, ...side }));
  for (const interpolation of ['bilinear', 'bicubic'] as const) {
    const settings = { imageSize: 224, transform: 'squash', interpolation, pixelLimit: LIMIT } as const;
    const views = await Promise.all(
      Array.from({ length: 8 }, (_, seed) => trainView(item, settings, new RandomStream(seed, 'view'))),
    );
    const whole = { left: 0, top: 0, width: 500, height: 375 };
    const plainViews = views.filter(
      (view) => Buffer.compare(view, resample(picture, { interpolation, box: whole, ...side })) === 0,
    );
    t.true(plainViews.length > 0 && plainViews.length < 8, 'the others are mirrored');
  }
});

type Golden = { width: number; height: number; tolerance: number; rgb: string } | { refused: string };

test('pictures of all kinds have the pixels that Pillow reads, or are refused by name', async (t) => {
  const zoo = Object.entries(json('zoo.json') as Record<string, Golden>);
  const read = async (name: string) =>
    readPicture({ name, source: join(FOLDER, 'zoo', name) }, LIMIT).catch((error: Error) => error.message);
  const pictures = await Promise.all(zoo.map(([name]) => read(name))); // some are refused while others are read
  for (const [index, [name, golden]] of zoo.entries()) {
    const found = pictures[index] as Picture | string;
    if ('refused' in golden) {
      t.true(String(found).includes(golden.refused), `${name}: ${typeof found === 'string' ? found : 'read'}`);
    } else if (typeof found === 'string') {
      t.fail(`${name}: ${found}`);
    } else {
      t.deepEqual([found.width, found.height], [golden.width, golden.height], name);
      const expected = Buffer.from(golden.rgb, 'base64');
      const off = found.rgb.reduce((most, value, at) => Math.max(most, Math.abs(value - (expected[at] as number))), 0);
      t.true(off <= golden.tolerance, `${name} is off by ${off}`);
    }
  }
  t.true(zoo.length > 40);
});

test('a picture has the same reason every time, however many fail at once and in however many threads', async (t) => {
  const zoo = Object.entries(json('zoo.json') as Record<string, Golden>);
  const refused = zoo.flatMap(([name, golden]) =>
    'refused' in golden ? [{ name, source: join(FOLDER, 'zoo', name) }] : [],
  );
  const reasonOf = (reading: Promise<unknown>) =>
    reading.then(
      () => 'read',
      (error: Error) => error.message,
    );
  const whole = { imageSize: 16, cropScale: [1, 1], cropAspect: [1, 1], flip: 0, jitter: 0, blur: 0 } as const;
  const crop = { ...whole, pixelLimit: LIMIT };
  const decoders = startDecoders({ seed: 0, views: [{ name: 'image', count: 1, crop }] }, 2);
  const alone: string[] = [];
  for (const item of refused) alone.push(await reasonOf(readPicture(item, LIMIT)));
  t.false(alone.includes('read'));
  const rounds = Array.from({ length: 4 }, () => [
    Promise.all(refused.map((item) => reasonOf(readPicture(item, LIMIT)))),
    Promise.all(refused.map((item) => reasonOf(decoders.crop(item, [0])))),
  ]);
  for (const reasons of await Promise.all(rounds.flat())) t.deepEqual(reasons, alone);
  await decoders.close();
});

test.serial(
  'what one command reads, all of them read; what one cannot read, all list with the same reason',
  async (t) => {
    const folder = await temporaryFolder(t);
    const zoo = join(folder, 'data/train/a');
    await cp(join(FOLDER, 'zoo'), zoo, { recursive: true });
    for (const other of ['train/b', 'val/a', 'val/b']) {
      await mkdir(join(folder, 'data', other), { recursive: true });
      await cp(join(zoo, 'rgb.png'), join(folder, 'data', other, 'rgb.png'));
    }
    const refused = Object.entries(json('zoo.json') as Record<string, Golden>).filter(
      ([, golden]) => 'refused' in golden,
    );
    const run = async (...args: string[]) => {
      const { code, stdout, stderr } = await ijepaHere(args);
      t.is(code, args[1] === 'info' ? 2 : 0, stderr);
      return { stdout, stderr };
    };
    const sizes = ['--image-size', '32', '--patch-size', '8', '--dim', '16', '--depth', '1', '--heads', '2'];
    const predictor = ['--predictor-dim', '16', '--predictor-depth', '1', '--engine', 'wasm'];
    const learning = ['--batch-size', '2', '--epochs', '1', '--max-unreadable', '0.5'];
    const checkpoint = join(FOLDER, 'encoder.safetensors');
    const info = await run('data', 'info', 'folder', join(folder, 'data'), '--check-all', '--json');
    await run('data', 'pack', zoo, '--out', join(folder, 'pack'));
    await run('pretrain', zoo, ...sizes, ...predictor, ...learning, '--out', join(folder, 'run'));
    const asked = ['--max-unreadable', '0.5', '--engine', 'wasm', '--out', join(folder, 'f.npy')];
    const features = await run('features', checkpoint, zoo, ...asked);
    const linesOf = (text: string) => text.split('\n').filter((line) => line !== '');
    const told = {
      info: JSON.parse(info.stdout).splits[0].unreadable.map((one: { name: string; reason: string }) => [
        basename(one.name),
        one.reason,
      ]),
      pack: linesOf(await readFile(join(folder, 'pack/skipped.txt'), 'utf8')).map((line) => line.split('\t')),
      run: linesOf(await readFile(join(folder, 'run/skipped.txt'), 'utf8')).map((line) => {
        const [name = '', reason] = line.split('\t');
        return [basename(name), reason];
      }),
      features: linesOf(features.stdout + features.stderr).flatMap((line) => {
        const [, name = '', reason] = /^left out: (\S+): (.*)$/.exec(line) ?? [];
        return name === '' ? [] : [[basename(name), reason]];
      }),
    };
    const sorted = Object.values(told).map((pairs: string[][]) => pairs.sort(([a = ''], [b = '']) => (a < b ? -1 : 1)));
    t.deepEqual(
      sorted[0]?.map(([name]) => name),
      refused.map(([name]) => name).sort(),
    );
    for (const pairs of sorted) t.deepEqual(pairs, sorted[0]);
  },
);

test("features are PyTorch's on Pillow's pixels", async (t) => {
  const { names, sizes } = json('features.json') as {
    names: string[];
    sizes: Record<string, number[][]>;
  };
  const files = names.map((name) => join(FOLDER, 'zoo', name));
  const engine = await startEngine('wasm', { threads: 1 });
  const network = await loadNetwork(join(FOLDER, 'encoder.safetensors'), 'target');
  const images = { ...(await openFolders(files)), classOf: () => 0 };
  for (const [side, expected] of Object.entries(sizes)) {
    const options = {
      views: 'test',
      transform: 'crop',
      batchSize: 4,
      seed: 0,
      cache: null,
      pixelLimit: LIMIT,
    } as const;
    const table = await extractFeatures(engine, atImageSize(network, Number(side)), images, options);
    t.deepEqual(
      table.names.map((name) => basename(name)),
      names,
    );
    names.forEach((name, row) => {
      const found = table.data.subarray(row * table.width, (row + 1) * table.width);
      const off = Math.max(...found.map((value, at) => Math.abs(value - ((expected[row] as number[])[at] as number))));
      // Decoders of JPEG may differ by a level.
      t.true(off < (name.endsWith('.jpg') ? 1e-2 : 1e-3), `${name} at ${side} pixels is off by ${off}`);
    });
  }
  network.dispose();
});
