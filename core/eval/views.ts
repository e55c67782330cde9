import { UserError } from '../base/errors.js';
import { inOrder } from '../base/pool.js';
import type { RandomStream } from '../base/random.js';
import { roundHalfToEven } from '../base/rounding.js';
import type { ImageItem, Interpolation, LabelledImages } from '../contract/data-sets.js';
import { flip } from '../data/augment/geometry.js';
import { randomCropBox } from '../data/crop.js';
import type { CropBox } from '../data/picture.js';
import { readPicture } from '../data/read-picture.js';
import { resample } from '../data/resample/resample.js';
import { unreadableReason } from '../data/skipped.js';
import { availableCores } from '../engine/machine.js';

/** How an evaluated network sees images. */
export interface ViewSettings {
  /** Side S of the result, in pixels. */
  imageSize: number;
  /** `crop`: parts of the image in its own proportions; `squash`: the whole image as a square. */
  transform: 'crop' | 'squash';
  /** With antialiasing; default: bicubic. */
  interpolation?: Interpolation;
  /** Images of more pixels than this are refused. */
  pixelLimit: number;
}

/** What a random crop may cover: fraction of the area, width / height. */
const CROP_SCALE = [0.08, 1] as const;
const CROP_ASPECT = [3 / 4, 4 / 3] as const;
const FLIP = 0.5;
/** The shorter side of a test image, and the side of the square that is cut out of its middle. */
const TEST_SIDES = { shorter: 256, square: 224 };

/**
 * A test image, always the same. `crop`: the shorter side is resized to S · 256/224, then the middle square of side S is
 * cut out; `squash`: resized to S x S. Bit for bit torchvision's Resize and CenterCrop by Pillow 13.
 * @returns RGB, [S, S, 3]
 * @throws Error if the image cannot be read; its message is the reason, in one line
 */
export async function testView(item: ImageItem, settings: ViewSettings): Promise<Uint8Array> {
  const { imageSize, transform, interpolation = 'bicubic', pixelLimit } = settings;
  const picture = await readPicture(item, pixelLimit);
  const box = wholeOf(picture);
  if (transform === 'squash') return resample(picture, { interpolation, box, width: imageSize, height: imageSize });
  const { width, height, left, top } = centreBox(picture.width, picture.height, imageSize);
  const window = { left, top, width: imageSize, height: imageSize };
  return resample(picture, { interpolation, box, width, height, window });
}

/**
 * A random view for training. `crop`: a box of 8% to 100% of the area and of aspect ratio 3/4 to 4/3, resized to S x S;
 * `squash`: the whole image resized to S x S. Then a left-right flip with probability 1/2.
 * @returns RGB, [S, S, 3]
 * @throws Error if the image cannot be read; its message is the reason, in one line
 */
export async function trainView(item: ImageItem, settings: ViewSettings, stream: RandomStream): Promise<Uint8Array> {
  const { imageSize, transform, interpolation = 'bicubic', pixelLimit } = settings;
  const picture = await readPicture(item, pixelLimit);
  const { width, height } = picture;
  const box = transform === 'squash' ? wholeOf(picture) : randomCropBox(width, height, CROP_SCALE, CROP_ASPECT, stream);
  const rgb = resample(picture, { interpolation, box, width: imageSize, height: imageSize });
  return stream.chance(FLIP) ? flip({ rgb, width: imageSize, height: imageSize }).rgb : rgb;
}

/**
 * The size to which a test image is resized, and where its middle square of side `imageSize` then lies (torchvision's
 * Resize and CenterCrop, which round halves to even numbers).
 */
export function centreBox(width: number, height: number, imageSize: number): CropBox {
  const shorter = Math.floor((imageSize * TEST_SIDES.shorter) / TEST_SIDES.square);
  const longer = Math.floor((shorter * Math.max(width, height)) / Math.min(width, height));
  const resized = width <= height ? { width: shorter, height: longer } : { width: longer, height: shorter };
  return {
    ...resized,
    left: roundHalfToEven((resized.width - imageSize) / 2),
    top: roundHalfToEven((resized.height - imageSize) / 2),
  };
}

function wholeOf({ width, height }: { width: number; height: number }): CropBox {
  return { left: 0, top: 0, width, height };
}

/** Which views are read. */
interface ViewPlan {
  /** Turns of all batches together. */
  turns: number;
  /** The image that has a turn; default: image number `turn`. */
  imageAt?: (turn: number) => number;
  viewOf: (item: ImageItem, turn: number) => Promise<Uint8Array>;
  /** Turns of a batch. */
  batchSize: number;
  /** Images that are decoded at the same time; default: twice the cores. */
  workers?: number | undefined;
}

/**
 * Views in the order of their turns, a batch after the other; the last batch may be smaller, and so is one with unreadable
 * images. The next batch is decoded while the caller works.
 * @param unreadable takes note of images that cannot be read; null where nobody does
 * @returns of the B images of a batch that could be read: `turns` whose turn it was, from 0, [B]; `rgb` [B] times [S, S, 3];
 *   their classes `labels` [B]
 */
export async function* viewBatches(
  images: LabelledImages,
  { turns, imageAt = (turn) => turn, viewOf, batchSize, workers = 2 * availableCores() }: ViewPlan,
  unreadable: Pick<UnreadableList, 'add'> | null,
) {
  const read = async (turn: number) => {
    const index = imageAt(turn);
    const item = images.item(index);
    try {
      return [{ turn, index, view: await viewOf(item, turn) }];
    } catch (error) {
      const reason = unreadableReason(error); // throws what is not about this image
      unreadable?.add(index, { name: item.name, reason });
      return [];
    }
  };
  let views: Awaited<ReturnType<typeof read>> = [];
  let turn = 0;
  for await (const view of inOrder(Array(turns).keys(), read, { concurrency: workers, ahead: 2 * batchSize })) {
    views.push(...view);
    if (++turn % batchSize !== 0 && turn < turns) continue;
    const labels = Int32Array.from(views, ({ index }) => images.classOf(index));
    yield { turns: views.map((read) => read.turn), rgb: views.map(({ view }) => view), labels };
    views = [];
  }
}

/** The reason is one line. */
export type UnreadableImage = { readonly name: string; readonly reason: string };

/** Examples in the message when there are too many. */
const MAX_SHOWN = 5;

/** The images that could not be read, each once, up to a fraction of all. */
export class UnreadableList {
  readonly #images = new Map<number, UnreadableImage>();

  /**
   * @param total images of the data set
   * @param allowed fraction of them that may be unreadable
   */
  constructor(
    private readonly total: number,
    private readonly allowed = 0,
  ) {}

  /** In the order of the data set. */
  get images(): readonly UnreadableImage[] {
    return [...this.#images].sort(([a], [b]) => a - b).map(([, image]) => image);
  }

  /**
   * Notes image number `index`.
   * @throws UserError if there are now more than allowed
   */
  add(index: number, image: UnreadableImage): void {
    this.#images.set(index, image);
    const count = this.#images.size;
    if (count <= this.allowed * this.total) return;
    const lines = this.images.slice(0, MAX_SHOWN).map(({ name, reason }) => `${name}: ${reason}`);
    const several = `${count} of ${this.total} images cannot be read\n    ${lines.join('\n    ')}`;
    throw new UserError(count === 1 ? `an image cannot be read: ${lines[0]}` : several, {
      expected: `at most ${Number((100 * this.allowed).toFixed(2))}% of the images unreadable`,
      remedy: 'repair or remove them, or raise --max-unreadable',
    });
  }
}
