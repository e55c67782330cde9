import { UserError } from '../base/errors.js';
import { ARCHITECTURES, type ImageShape, LARGEST_GRID, type VitSize } from '../nn/sizes.js';
import type { Option } from './option.js';
import { OPTIONS, type Options } from './schema.js';

/**
 * The sizes of images and patches.
 * @throws UserError if patches do not divide the image, with the nearest sizes that do
 */
export function imageShape({ imageSize, patchSize }: Pick<Options, 'imageSize' | 'patchSize'>): ImageShape {
  checkGrid(imageSize, patchSize);
  return { imageSize, patchSize };
}

/**
 * The encoder's size, from the named architecture and what overrides it.
 * @throws UserError if its width does not fit its heads
 */
export function encoderSize(options: Pick<Options, 'arch' | 'dim' | 'depth' | 'heads'>): VitSize {
  const named = ARCHITECTURES[options.arch];
  const size = {
    dim: options.dim ?? named.dim,
    depth: options.depth ?? named.depth,
    heads: options.heads ?? named.heads,
    mlpRatio: named.mlpRatio,
  };
  checkWidth('--dim', size.dim, size.heads);
  return size;
}

/**
 * The size of a predictor or decoder, whose hidden layers have the usual ratio whatever the encoder's.
 * @param given what options say; null for what is usual
 * @param flag of its width, for messages
 * @throws UserError if its width does not fit its heads
 */
export function decoderSize(
  given: { readonly [Name in 'dim' | 'depth' | 'heads']: number | null },
  usual: Pick<VitSize, 'dim' | 'depth' | 'heads'>,
  flag: string,
): VitSize {
  const heads = given.heads ?? usual.heads;
  const dim = given.dim ?? usual.dim;
  checkWidth(flag, dim, heads);
  return { dim, depth: given.depth ?? usual.depth, heads, mlpRatio: 4 };
}

/** @throws UserError if a width does not fit its heads, with the nearest that do */
function checkWidth(flag: string, dim: number, heads: number): void {
  const unit = leastCommonMultiple(4, heads);
  if (dim % unit === 0) return;
  const lower = Math.floor(dim / unit) * unit;
  throw new UserError(`${flag} ${dim} does not fit ${heads} heads`, {
    expected: 'a width that is a multiple of 4 (positions have four parts) and of the number of heads',
    remedy: `use ${flag} ${lower > 0 ? `${lower} or ` : ''}${lower + unit}`,
  });
}

function checkGrid(imageSize: number, patchSize: number): void {
  const { max: largestImage = Number.POSITIVE_INFINITY } = OPTIONS.imageSize as Option<number>;
  const works = (image: number, patch: number) =>
    image % patch === 0 && image / patch <= LARGEST_GRID && image <= largestImage;
  if (works(imageSize, patchSize)) return;
  const nearest = (wanted: number, allowed: (size: number) => boolean) =>
    Array.from({ length: largestImage }, (_, at) => at + 1)
      .filter(allowed)
      .sort((a, b) => Math.abs(a - wanted) - Math.abs(b - wanted))[0];
  const image = nearest(imageSize, (size) => works(size, patchSize));
  const patch = nearest(patchSize, (size) => works(imageSize, size));
  throw new UserError(`an image of ${imageSize} pixels cannot be cut into patches of ${patchSize} pixels`, {
    expected: `a patch size that divides the image size, and at most ${LARGEST_GRID} x ${LARGEST_GRID} patches`,
    remedy: `use ${image === undefined ? '' : `--image-size ${image}, or `}--patch-size ${patch}`,
  });
}

function leastCommonMultiple(a: number, b: number): number {
  const divisor = (x: number, y: number): number => (y === 0 ? x : divisor(y, x % y));
  return (a * b) / divisor(a, b);
}
