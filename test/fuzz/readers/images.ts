import assert from 'node:assert';
import { readFile } from 'node:fs/promises';
import { deflateSync } from 'node:zlib';
import fc from 'fast-check';
import sharp, { type Sharp } from 'sharp';
import { reasonOf } from '../../../core/base/errors.js';
import { randomCrops } from '../../../core/data/crop.js';
import { readClassMask } from '../../../core/data/decode/png-ids.js';
import { readPicture } from '../../../core/data/read-picture.js';
import type { ImageItem } from '../../../core/plugin.js';
import { EDGES, integerBytes } from '../bytes.js';
import type { FuzzedReader } from '../reader.js';

const PIXEL_LIMIT = 1e6;
const SETTINGS = {
  imageSize: 16,
  cropScale: [0.3, 1],
  cropAspect: [0.75, 4 / 3],
  flip: 0.5,
  jitter: 0,
  blur: 0,
  pixelLimit: PIXEL_LIMIT,
} as const;

/** Reads an image to its end, and cuts a crop out of it as training does. */
async function look(item: ImageItem): Promise<void> {
  const { width, height } = await readPicture(item, PIXEL_LIMIT);
  assert(width * height <= PIXEL_LIMIT, `${width} x ${height} pixels are more than the limit`);
  const rgb = await randomCrops(item, [{ name: 'image', count: 1, crop: SETTINGS }], 0, []);
  assert.equal(rgb.length, 3 * SETTINGS.imageSize ** 2);
}

/** Files of one path are other ones here each time: nothing may be kept of them. */
async function prepare(): Promise<void> {
  sharp.cache(false);
}

/** Any plain Error whose first line says why; it ends up in a list with a line for each image. */
function isRefusal(error: unknown): boolean {
  return error instanceof Error && error.constructor === Error && /^[^\p{Cc}]{1,1100}$/u.test(reasonOf(error));
}

/** A gradient with some transparency. */
function picture(): Sharp {
  const pixels = Uint8Array.from({ length: 24 * 16 * 4 }, (_, at) => (at % 4 === 3 ? 255 - (at % 50) : (at * 7) % 256));
  return sharp(pixels, { raw: { width: 24, height: 16, channels: 4 } });
}

/** Pictures by their formats, in some of the ways in which each can be written. */
async function pictures(): Promise<Record<string, Buffer[]>> {
  const made = {
    jpeg: [picture().jpeg(), picture().jpeg({ progressive: true }).withMetadata({ orientation: 6 })],
    png: [picture().png(), picture().png({ palette: true, progressive: true }), picture().toColourspace('rgb16').png()],
    webp: [picture().webp(), picture().webp({ lossless: true }).withMetadata({ orientation: 3 })],
    gif: [picture().gif()],
    tiff: [
      picture().tiff({ compression: 'lzw', predictor: 'horizontal' }),
      picture().tiff({ tile: true, tileWidth: 16, tileHeight: 16, compression: 'deflate' }),
      picture().tiff({ compression: 'jpeg', pyramid: true }),
    ],
    avif: [picture().avif({ effort: 0 })],
  };
  const entries = Object.entries(made).map(async ([format, ways]) => {
    return [format, await Promise.all(ways.map((way) => way.toBuffer()))] as const;
  });
  return Object.fromEntries(await Promise.all(entries));
}

/** Pictures of which a number near the beginning, where sizes stand, may be another one. */
function withOtherNumbers(seeds: readonly Buffer[]): fc.Arbitrary<Uint8Array> {
  const poke = fc.tuple(
    fc.nat({ max: 200 }),
    fc.constantFrom(1, 2, 4),
    fc.constantFrom(...EDGES, 16, 1000, 60_000),
    fc.boolean(),
  );
  return fc.tuple(fc.constantFrom(...seeds), fc.array(poke, { maxLength: 3 })).map(([seed, pokes]) => {
    const bytes = Buffer.from(seed);
    for (const [at, width, value, little] of pokes) {
      if (at + width <= bytes.length) bytes.set(integerBytes(value, width, little), at);
    }
    return bytes;
  });
}

const sides = fc.constantFrom(0, 1, 16, 999, 1001, 30_000, 65_535, 2 ** 20, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1);

/** PNG files whose checksums are right, whatever size they claim. */
const pngs = fc
  .tuple(
    sides,
    sides,
    fc.constantFrom(1, 2, 4, 8, 16, 3),
    fc.constantFrom(0, 2, 3, 4, 6, 1),
    fc.constantFrom(0, 1),
    fc.nat({ max: 4000 }),
  )
  .map(([width, height, depth, colour, interlaced, content]) => {
    const sizes = [integerBytes(width, 4, false), integerBytes(height, 4, false)];
    return Buffer.concat([
      Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
      chunk('IHDR', Buffer.concat([...sizes, Uint8Array.of(depth, colour, 0, 0, interlaced)])),
      chunk('PLTE', Buffer.alloc(6)),
      chunk('IDAT', deflateSync(Buffer.alloc(content))),
      chunk('IEND', Buffer.alloc(0)),
    ]);
  });

function chunk(name: string, content: Uint8Array): Buffer {
  const body = Buffer.concat([Buffer.from(name, 'latin1'), content]);
  return Buffer.concat([integerBytes(content.length, 4, false), body, integerBytes(crc32(body), 4, false)]);
}

function crc32(bytes: Uint8Array): number {
  let rest = 0xffffffff;
  for (const byte of bytes) {
    rest ^= byte;
    for (let bit = 0; bit < 8; bit++) rest = (rest >>> 1) ^ (rest & 1 ? 0xedb88320 : 0);
  }
  return (rest ^ 0xffffffff) >>> 0;
}

/** Drawings that claim much, refer to other files, or unfold. */
const lengths = fc.constantFrom('16', '1000', '1001', '100000', '1e30', '-1', '0', '100%', 'NaN', '16in', '');
const contents = fc.constantFrom(
  '<rect width="9" height="9" fill="red"/>',
  '<image href="x.svg" width="9" height="9"/>',
  '<image href="file:///etc/hostname" width="9" height="9"/>',
  '<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="x.svg" parse="text"/>',
  '<text>&a;</text>',
  '<use href="#u"/><g id="u"><use href="#u"/></g>',
  `${Array.from({ length: 12 }, (_, at) => `<g id="g${at + 1}">${`<use href="#g${at}"/>`.repeat(8)}</g>`).join('')}<rect id="g0" width="1" height="1"/>`,
  '<filter id="f"><feGaussianBlur stdDeviation="1e9"/></filter><rect width="9" height="9" filter="url(#f)"/>',
  '<filter id="f"><feTurbulence baseFrequency="9" numOctaves="100000"/></filter><rect width="9" height="9" filter="url(#f)"/>',
  '<g>'.repeat(2000),
  '<script>1</script><style>@import "file:///etc/hostname";</style>',
);
const doctypes = fc.constantFrom(
  '',
  '<!DOCTYPE svg [<!ENTITY a SYSTEM "file:///etc/hostname">]>',
  `<!DOCTYPE svg [<!ENTITY z "zzzzzzzzzz">${[...'yxwvutsrqa'].map((name, at) => `<!ENTITY ${name} "${`&${'zyxwvutsrq'[at]};`.repeat(10)}">`).join('')}]>`,
);
const drawings = fc
  .tuple(doctypes, lengths, lengths, lengths, fc.array(contents, { maxLength: 3 }))
  .map(([doctype, width, height, box, parts]) =>
    Buffer.from(
      `<?xml version="1.0"?>${doctype}<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${box} 9">${parts.join('')}</svg>`,
    ),
  );

/** Numbers of classes, in grey and with a palette. */
async function masks(): Promise<Buffer[]> {
  const grey = picture().removeAlpha().toColourspace('b-w');
  return [await grey.png().toBuffer(), await picture().removeAlpha().png({ palette: true, colours: 9 }).toBuffer()];
}

export async function imageReaders(): Promise<readonly FuzzedReader[]> {
  const seeds = Object.entries(await pictures());
  return [
    {
      name: 'mask',
      file: 'x.png',
      inputs: fc.oneof(withOtherNumbers(await masks()), pngs),
      async read(path) {
        const { width, height, ids } = readClassMask(await readFile(path), PIXEL_LIMIT);
        assert(ids.length === width * height && ids.length <= PIXEL_LIMIT);
      },
      isRefusal,
    },
    ...seeds.map(([format, some]) => ({
      name: `image-${format}`,
      file: `x.${format}`,
      inputs: format === 'png' ? fc.oneof(withOtherNumbers(some), pngs) : withOtherNumbers(some),
      prepare,
      read: (path: string) => look({ name: path, source: path }),
      isRefusal,
    })),
    {
      name: 'image-svg',
      file: 'x.svg',
      inputs: drawings,
      prepare,
      read: (path) => look({ name: path, source: () => readFile(path) }),
      isRefusal,
    },
    {
      name: 'image-svg-as-png',
      file: 'x.png',
      inputs: drawings,
      prepare,
      async read(path) {
        await look({ name: path, source: path });
        assert.fail('a drawing was taken for a picture');
      },
      isRefusal,
    },
  ];
}
