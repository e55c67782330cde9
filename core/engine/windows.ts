import { type Tensor, tf } from './tf.js';

/*
 * Windows that slide over images [C, B, H, W], by operations that every engine has. They are used inside of functions that
 * have a gradient of their own.
 */

/** Squares of side k that lie s apart, over images with a border of p. */
export interface Window {
  readonly side: number;
  readonly stride: number;
  readonly padding: number;
}

/** How many windows there are along a height or width H: ⌊(H + 2p - k) / s⌋ + 1. */
export function windowsAlong(length: number, { side, stride, padding }: Window): number {
  return Math.floor((length + 2 * padding - side) / stride) + 1;
}

/** How many there are along height and width. */
export function sidesOf({ shape }: Tensor, window: Window): [number, number] {
  const [height, width] = [windowsAlong(shape[2] as number, window), windowsAlong(shape[3] as number, window)];
  if (height < 1 || width < 1) throw new Error(`a window of side ${window.side} does not fit into [${shape}]`);
  return [height, width];
}

/** Images with a border of one number: [C, B, H, W] -> [C, B, H + 2p, W + 2p]. */
export function paddedBy(x: Tensor, padding: number, value = 0): Tensor {
  if (padding === 0) return x;
  return tf.pad(
    x,
    [
      [0, 0],
      [0, 0],
      [padding, padding],
      [padding, padding],
    ],
    value,
  );
}

/** What each place of a window sees, row by row: images with their border -> k k times [C, B, H', W']. */
export function tapsOf(padded: Tensor, window: Window): Tensor[] {
  const { side, stride } = window;
  const [channels, images] = padded.shape as [number, number];
  const [height, width] = sidesOf(padded, { ...window, padding: 0 });
  const reach = (count: number) => (count - 1) * stride + 1;
  return placesOf(side).map(([row, column]) => {
    const begin = [0, 0, row, column];
    if (stride === 1) return tf.slice(padded, begin, [channels, images, height, width]);
    const end = [channels, images, row + reach(height), column + reach(width)];
    return tf.stridedSlice(padded, begin, end, [1, 1, stride, stride]);
  });
}

/** The same as one matrix: images [C, B, H, W] -> [k k C, B H' W']. */
export function columnsOf(x: Tensor, window: Window): Tensor {
  const taps = tapsOf(paddedBy(x, window.padding), window);
  const seen = taps.length === 1 ? (taps[0] as Tensor) : tf.concat(taps, 0); // [k k C, B, H', W']
  return seen.reshape([seen.shape[0], -1]);
}

/**
 * The transpose of `tapsOf`: what each place of a window gives, added up where windows overlap, without the border.
 * @param taps k k times [C, B, H', W']
 * @param sides H, W
 * @returns [C, B, H, W]
 */
export function placed(taps: readonly Tensor[], window: Window, [height, width]: readonly [number, number]): Tensor {
  const { side, stride, padding } = window;
  if (side === 1 && stride === 1 && padding === 0) return taps[0] as Tensor;
  const whole = placesOf(side).map(([row, column], at) => {
    const spread = spreadBy(taps[at] as Tensor, stride);
    const [own, wide] = spread.shape.slice(2) as [number, number];
    const after = [height + 2 * padding - row - own, width + 2 * padding - column - wide] as const;
    return tf.pad(spread, [
      [0, 0],
      [0, 0],
      [row, after[0]],
      [column, after[1]],
    ]);
  }); // [C, B, H + 2p, W + 2p] each
  const sum = tf.addN(whole);
  return padding === 0 ? sum : tf.slice(sum, [0, 0, padding, padding], [-1, -1, height, width]);
}

/** Every place of a window by row and column. */
function placesOf(side: number): [row: number, column: number][] {
  return Array.from({ length: side ** 2 }, (_, at) => [Math.floor(at / side), at % side]);
}

/** Images whose pixels lie s apart, with zeros between them: [C, B, H, W] -> [C, B, s (H - 1) + 1, s (W - 1) + 1]. */
function spreadBy(x: Tensor, stride: number): Tensor {
  if (stride === 1) return x;
  const [channels, images, height, width] = x.shape as [number, number, number, number];
  const columns = tf
    .pad(x.reshape([-1, 1]), [
      [0, 0],
      [0, stride - 1],
    ]) // [C B H W, s]
    .reshape([channels * images * height, width * stride]);
  const rows = tf.pad(columns, [
    [0, 0],
    [0, (stride - 1) * width * stride],
  ]); // [C B H, s W s]
  const spread = rows.reshape([channels, images, height * stride, width * stride]);
  return tf.slice(spread, [0, 0, 0, 0], [-1, -1, (height - 1) * stride + 1, (width - 1) * stride + 1]);
}
