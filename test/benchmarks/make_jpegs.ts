import { mkdir, readdir } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { parseArgs } from 'node:util';
import sharp, { type Sharp } from 'sharp';
import { RandomStream } from '../../core/base/random.js';

/*
 * Makes JPEGs of photographs' sizes to time loaders on: noise of a photograph's spectrum (every octave as strong as the
 * others, the finest ones weaker, as through a lens), with shapes of sharp edges before it and a sensor's noise on it.
 * npm run bench:jpegs -- FOLDER --count 512 --width 500 --height 375 --quality 90
 * With --from PICTURES, parts of the pictures in that folder are the background instead.
 */
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    count: { type: 'string', default: '512' },
    width: { type: 'string', default: '500' },
    height: { type: 'string', default: '375' },
    quality: { type: 'string', default: '90' },
    from: { type: 'string' },
  },
});
const [folder] = positionals;
if (folder === undefined) throw new Error('name the folder for the pictures');
const width = Number(values.width);
const height = Number(values.height);

const pictures = values.from === undefined ? [] : await picturesIn(values.from);
await mkdir(folder, { recursive: true });
let bytes = 0;
for (let number = 0; number < Number(values.count); number++) {
  const stream = new RandomStream(0, 'jpeg', number);
  const background = pictures.length > 0 ? await partOf(stream.pick(pictures), stream) : await clouds(stream);
  const scene = await background
    .composite([{ input: shapesBefore(stream) }])
    .removeAlpha()
    .raw()
    .toBuffer();
  const file = join(folder, `${String(number).padStart(6, '0')}.jpg`);
  bytes += (
    await raw(withNoise(scene, stream))
      .jpeg({ quality: Number(values.quality) })
      .toFile(file)
  ).size;
}
process.stdout.write(`${values.count} pictures of ${width} x ${height}, ${Math.round(bytes / 1000)} kB in ${folder}\n`);

async function picturesIn(path: string): Promise<string[]> {
  const names = await readdir(path, { recursive: true });
  return names.filter((name) => /^\.(jpe?g|png|webp)$/i.test(extname(name))).map((name) => join(path, name));
}

/** A random part of a picture, scaled up. */
async function partOf(path: string, stream: RandomStream): Promise<Sharp> {
  const { data, info } = await sharp(path)
    .removeAlpha()
    .toColourspace('srgb')
    .raw()
    .toBuffer({ resolveWithObject: true });
  const part = stream.uniform(0.5, 1);
  const box = { width: Math.ceil(info.width * part), height: Math.ceil(info.height * part) };
  const left = stream.integer(0, info.width - box.width);
  const top = stream.integer(0, info.height - box.height);
  const source = sharp(data, { raw: { width: info.width, height: info.height, channels: 3 } });
  return raw(
    await source
      .extract({ left, top, ...box })
      .resize(width, height, { fit: 'cover' })
      .raw()
      .toBuffer(),
  );
}

/** Noise in octaves, each colour of its own but most of it shared, as brightness is. */
async function clouds(stream: RandomStream): Promise<Sharp> {
  const sum = new Float32Array(width * height * 3).fill(128);
  for (let cells = 3; cells <= width; cells *= 2) {
    const size = { width: cells, height: Math.max(1, Math.round((cells * height) / width)) };
    const noise = Uint8Array.from({ length: size.width * size.height * 3 }, () => stream.integer(0, 255));
    for (let at = 0; at < noise.length; at += 3) {
      noise[at + 1] = 0.8 * (noise[at] as number) + 0.2 * (noise[at + 1] as number);
      noise[at + 2] = 0.8 * (noise[at] as number) + 0.2 * (noise[at + 2] as number);
    }
    const scaled = await sharp(noise, { raw: { ...size, channels: 3 } })
      .resize(width, height, { fit: 'fill', kernel: 'cubic' })
      .raw()
      .toBuffer();
    const strength = cells > width / 4 ? 0.15 : cells > width / 8 ? 0.25 : 0.35;
    for (let at = 0; at < sum.length; at++) sum[at] = (sum[at] as number) + strength * ((scaled[at] as number) - 128);
  }
  return raw(Uint8ClampedArray.from(sum));
}

/** A few polygons and ellipses in flat colours and gradients. */
function shapesBefore(stream: RandomStream): Buffer {
  const colour = () => `hsl(${stream.integer(0, 359)} ${stream.integer(10, 80)}% ${stream.integer(15, 85)}%)`;
  const across = (from: number, to: number) => Math.round(stream.uniform(from, to) * width);
  const shapes = Array.from({ length: stream.integer(2, 6) }, (_, at) => {
    const gradient = `<linearGradient id="g${at}"><stop stop-color="${colour()}"/><stop offset="1" stop-color="${colour()}"/></linearGradient>`;
    const fill = `fill="url(#g${at})" fill-opacity="${stream.uniform(0.5, 0.9).toFixed(2)}"`;
    const [x, y, size] = [across(0, 1), across(0, height / width), across(0.05, 0.2)];
    if (stream.chance(0.5))
      return `${gradient}<ellipse cx="${x}" cy="${y}" rx="${size}" ry="${across(0.03, 0.2)}" ${fill}/>`;
    const points = [0, 1, 2, 3].map(() => `${x + across(-0.2, 0.2)},${y + across(-0.2, 0.2)}`).join(' ');
    return `${gradient}<polygon points="${points}" ${fill}/>`;
  });
  return Buffer.from(
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">${shapes.join('')}</svg>`,
  );
}

/** Of a deviation of 2 in each colour. */
function withNoise(rgb: Uint8Array, stream: RandomStream): Uint8ClampedArray {
  const table = Float32Array.from({ length: 4093 }, () => 2 * stream.normal());
  return Uint8ClampedArray.from(rgb, (value, at) => value + (table[(at * 7 + (at >> 9)) % table.length] as number));
}

function raw(rgb: Uint8Array | Uint8ClampedArray): Sharp {
  return sharp(rgb, { raw: { width, height, channels: 3 } });
}
