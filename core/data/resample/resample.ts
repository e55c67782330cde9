import type { Interpolation } from '../../contract/data-sets.js';
import type { CropBox } from '../crop.js';
import type { Picture } from '../picture.js';
import { COLUMN_BLOCK, LOW_BITS, ROW_BLOCK } from './kernels.js';
import { clearMachine, type ResampleMachine } from './machine.js';
import { resampleWeights, type Weights } from './weights.js';

/** What is made of a part of a picture. */
export interface Resampling {
  interpolation: Interpolation;
  /** The part, in whole pixels; what lies outside it does not take part. */
  box: CropBox;
  /** The size to which it is brought. */
  width: number;
  height: number;
  /** The part of the result that is wanted; all of it where none is named. */
  window?: CropBox;
}

/** Bytes of a picture that lie in the machine's memory at the same time. */
const STRIP_BYTES = 1 << 20;

/**
 * Crops a picture and brings it to a size, with antialiasing: bit for bit what `crop` and `resize` of Pillow 13 give, with
 * bytes between the two directions.
 * @returns RGB, [height, width, 3] of the window
 */
export function resample(picture: Picture, { interpolation, box, width, height, window }: Resampling): Uint8Array {
  const { left, top, width: columns, height: rows } = window ?? { left: 0, top: 0, width, height };
  const across = resampleWeights(interpolation, box.width, width, left, columns);
  const down = resampleWeights(interpolation, box.height, height, top, rows);
  const machine = clearMachine();
  const way = goesDownFirst(box, width, height) ? downThenAcross : acrossThenDown;
  const { address, stride } = way(machine, { picture, box, across, down });
  const pixels = new Uint8Array(rows * columns * 3);
  const result = machine.bytes(address, rows * stride);
  for (let row = 0; row < rows; row++) {
    pixels.set(result.subarray(row * stride, row * stride + columns * 3), row * columns * 3);
  }
  return pixels;
}

/** Pillow 13 goes down first where more than twice as many rows as columns fall away; before, it never did. */
function goesDownFirst(box: CropBox, width: number, height: number): boolean {
  return box.height > height && box.height - height > 2 * (box.width - width);
}

interface Task {
  picture: Picture;
  box: CropBox;
  across: Weights;
  down: Weights;
}

/** Rows of pixels in the machine's memory. */
interface Rows {
  address: number;
  /** Bytes from one to the next. */
  stride: number;
}

function acrossThenDown(machine: ResampleMachine, { picture, box, across, down }: Task): Rows {
  const { acrossRows, downColumns } = machine.functions;
  const [columns, rows] = [across.starts.length, down.starts.length];
  const sourceStride = picture.width * 3;
  const stride = strideOf(columns);
  const stripRows = rowsInStrip(sourceStride);
  const needed = down.last - down.first;
  const acrossEntries = writeEntries(machine, across, box.left, 3);
  const downEntries = writeEntries(machine, down, -down.first, stride);
  // Rows come in fours, and weights of 0 read what is beyond the last sample.
  const between = machine.reserve((needed + ROW_BLOCK + down.taps) * stride);
  const strip = machine.reserve(Math.min(stripRows, needed + ROW_BLOCK) * sourceStride + across.taps * 3);
  const result = machine.reserve(rows * stride);
  for (let done = 0; done < needed; done += stripRows) {
    const some = Math.min(stripRows, needed - done);
    putRows(machine, strip, picture, box.top + down.first + done, some);
    const target = between + done * stride;
    acrossRows(strip, sourceStride, target, stride, some, columns, acrossEntries, across.taps / 2);
  }
  downColumns(between, stride, result, stride, rows, stride / COLUMN_BLOCK, downEntries, down.taps / 2);
  return { address: result, stride };
}

function downThenAcross(machine: ResampleMachine, { picture, box, across, down }: Task): Rows {
  const { acrossRows, downColumns } = machine.functions;
  const [columns, rows] = [across.starts.length, down.starts.length];
  const sourceStride = picture.width * 3;
  const needed = across.last - across.first;
  const betweenStride = strideOf(needed);
  const stride = strideOf(columns);
  const stripRows = Math.max(down.taps, rowsInStrip(sourceStride));
  const acrossEntries = writeEntries(machine, across, -across.first, 3);
  const downEntries = writeEntries(machine, down, 0, sourceStride);
  const between = machine.reserve((rows + ROW_BLOCK) * betweenStride + across.taps * 3);
  const strip = machine.reserve((Math.min(stripRows, down.last) + down.taps) * sourceStride);
  const result = machine.reserve((rows + ROW_BLOCK) * stride);
  for (let row = 0; row < rows; ) {
    const first = down.starts[row] as number;
    let end = row + 1;
    while (end < rows && (down.starts[end] as number) + down.taps - first <= stripRows) end++;
    const last = Math.min(down.last, (down.starts[end - 1] as number) + down.taps);
    putRows(machine, strip, picture, box.top + first, last - first);
    downColumns(
      strip - first * sourceStride + (box.left + across.first) * 3,
      sourceStride,
      between + row * betweenStride,
      betweenStride,
      end - row,
      betweenStride / COLUMN_BLOCK,
      downEntries + row * entryBytes(down),
      down.taps / 2,
    );
    row = end;
  }
  acrossRows(between, betweenStride, result, stride, rows, columns, acrossEntries, across.taps / 2);
  return { address: result, stride };
}

/** Bytes of a row of so many pixels; a pixel is written with a byte more, and columns come in eights. */
function strideOf(pixels: number): number {
  return Math.ceil((pixels * 3 + 1) / COLUMN_BLOCK) * COLUMN_BLOCK;
}

function rowsInStrip(stride: number): number {
  return Math.max(1, Math.floor(STRIP_BYTES / stride / ROW_BLOCK)) * ROW_BLOCK;
}

function putRows(machine: ResampleMachine, address: number, { width, rgb }: Picture, first: number, count: number) {
  const bytes = width * 3;
  machine.bytes(address, count * bytes).set(rgb.subarray(first * bytes, (first + count) * bytes));
}

function entryBytes({ taps }: Weights): number {
  return 4 * (1 + taps);
}

/** Writes (start + shift) * unit and the weights of each result, as the kernels read them. @returns their address */
function writeEntries(machine: ResampleMachine, weights: Weights, shift: number, unit: number): number {
  const { starts, taps, values } = weights;
  const address = machine.reserve(starts.length * entryBytes(weights));
  const words = machine.words(address, starts.length * (1 + taps));
  const lowMask = (1 << LOW_BITS) - 1;
  let at = 0;
  for (let result = 0; result < starts.length; result++) {
    words[at++] = ((starts[result] as number) + shift) * unit;
    for (let tap = result * taps; tap < (result + 1) * taps; tap += 2) {
      const [one, other] = [values[tap] as number, values[tap + 1] as number];
      words[at++] = ((one >> LOW_BITS) & 0xffff) | ((other >> LOW_BITS) << 16);
      words[at++] = (one & lowMask) | ((other & lowMask) << 16);
    }
  }
  return address;
}
