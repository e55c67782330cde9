import type { Sharp } from 'sharp';
import type { Picture } from '../picture.js';

/**
 * A picture of floating-point numbers from 0 (black) to 1 (white), as RGB bytes.
 * @param colours its bands that are colours: grey or RGB
 * @param alpha whether the band behind them is transparency
 * @throws Error if numbers are outside that range, which nobody can tell how to show
 */
export async function floatPicture(
  image: Sharp,
  { colours, alpha }: { colours: number; alpha: boolean },
): Promise<Picture> {
  const { space } = await image.metadata();
  const { data, info } = await image
    .toColourspace(space ?? 'multiband')
    .raw({ depth: 'float' })
    .toBuffer({ resolveWithObject: true });
  const { width, height, channels } = info;
  if ((colours !== 1 && colours !== 3) || channels < colours + Number(alpha)) {
    throw new Error(`it has ${channels} bands of floating-point numbers, not grey or RGB`);
  }
  const aligned = data.byteOffset % 4 === 0 ? data : new Uint8Array(data);
  const values = new Float32Array(aligned.buffer, aligned.byteOffset, width * height * channels);
  const rgb = new Uint8Array(width * height * 3);
  let [least, most] = [0, 1];
  for (let pixel = 0; pixel < width * height; pixel++) {
    const from = pixel * channels;
    const cover = alpha ? (values[from + colours] as number) : 1;
    for (let colour = 0; colour < 3; colour++) {
      const value = values[from + Math.min(colour, colours - 1)] as number;
      if (!(value >= least)) least = value;
      if (!(value <= most)) most = value;
      rgb[pixel * 3 + colour] = Math.round((value * cover + 1 - cover) * 255);
    }
  }
  if (least === 0 && most === 1) return { width, height, rgb };
  throw new Error(`its samples are floating-point numbers from ${short(least)} to ${short(most)}, not from 0 to 1`);
}

function short(value: number): string {
  return String(Number(value.toPrecision(3)));
}
