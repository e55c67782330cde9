import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import sharp from 'sharp';
import { RandomStream } from '../../core/base/random.js';

/** Writes a grey PNG with a number for each pixel. */
export async function writeMask(path: string, ids: Uint8Array, width: number): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const raw = { width, height: ids.length / width, channels: 1 } as const;
  await writeFile(path, await sharp(ids, { raw }).toColourspace('b-w').png().toBuffer());
}

/**
 * Pictures of a disc (class 1) and a square (class 2) on a plain ground (class 0), with masks: DIR/images and DIR/masks. Grounds are
 * dark, discs bright, squares between them; the outermost pixels are ignored.
 */
export async function writeShapesWithMasks(folder: string, count: number, seed = 0): Promise<void> {
  for (let number = 0; number < count; number++) {
    const stream = new RandomStream(seed, 'shapes with masks', number);
    const [width, height] = [stream.integer(28, 44), stream.integer(28, 44)];
    const [disc, square] = [0, 1].map(() => ({
      x: stream.integer(4, width - 14),
      y: stream.integer(4, height - 14),
      side: stream.integer(9, 13),
    })) as [Place, Place];
    const levels = [stream.integer(10, 50), stream.integer(200, 250), stream.integer(105, 140)];
    const ids = Uint8Array.from({ length: width * height }, (_, at) => {
      const [x, y] = [at % width, Math.floor(at / width)];
      if (x === 0 || y === 0 || x === width - 1 || y === height - 1) return 255;
      if (isIn(square, x, y)) return 2;
      const reach = disc.side / 2;
      return Math.hypot(x - disc.x - reach, y - disc.y - reach) <= reach ? 1 : 0;
    });
    const rgb = Uint8Array.from({ length: 3 * ids.length }, (_, at) => levels[ids[Math.floor(at / 3)] % 255] as number);
    const name = `shape-${number}`;
    await mkdir(join(folder, 'images'), { recursive: true });
    await sharp(rgb, { raw: { width, height, channels: 3 } })
      .png()
      .toFile(join(folder, 'images', `${name}.png`));
    await writeMask(join(folder, 'masks', `${name}.png`), ids, width);
  }
}

type Place = { x: number; y: number; side: number };

const isIn = ({ x, y, side }: Place, column: number, row: number) =>
  column >= x && column < x + side && row >= y && row < y + side;
