import sharp, { type Sharp } from 'sharp';
import { RandomStream } from '../../core/base/random.js';

/** A picture of soft random colours and some noise, always the same for a seed. */
export function softPicture(width: number, height: number, seed: number): Sharp {
  const stream = new RandomStream(seed, 'picture');
  const waves = Array.from({ length: 9 }, () => [
    stream.uniform(0, 0.15),
    stream.uniform(0, 0.15),
    stream.uniform(0, 6),
  ]);
  const data = Buffer.alloc(width * height * 3);
  for (let at = 0; at < data.length; at++) {
    const [colour, x, y] = [at % 3, Math.floor(at / 3) % width, Math.floor(at / 3 / width)];
    const sum = waves
      .slice(3 * colour, 3 * colour + 3)
      .reduce((total, [across = 0, down = 0, phase = 0]) => total + Math.sin(across * x + down * y + phase), 0);
    data[at] = 128 + 30 * sum + stream.uniform(-6, 6);
  }
  return sharp(data, { raw: { width, height, channels: 3 } });
}

/** A JPEG of the usual kind. */
export async function softJpeg(
  width: number,
  height: number,
  seed: number,
  { quality = 90, colours = '4:2:0', orientation = 1 } = {},
): Promise<Buffer> {
  const picture = softPicture(width, height, seed).jpeg({ quality, chromaSubsampling: colours });
  const bytes = await picture.toBuffer();
  return orientation === 1 ? bytes : Buffer.concat([bytes.subarray(0, 2), exif(orientation), bytes.subarray(2)]);
}

/** A segment of EXIF with an orientation and nothing else, as a camera writes it. */
function exif(orientation: number): Buffer {
  const tiff = [0x4d, 0x4d, 0, 42, 0, 0, 0, 8, 0, 1, 0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0, 0, 0, 0, 0];
  return Buffer.from([0xff, 0xe1, 0, 8 + tiff.length, ...Buffer.from('Exif\0\0'), ...tiff]);
}
