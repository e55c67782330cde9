import type { Interpolation } from '../../contract/data-sets.js';
import { assembleModule } from '../../wasm/module.js';
import type { CropBox, Picture } from '../picture.js';
import { acrossRows, axisWeights, COLUMN_BLOCK, downColumns, LOW_BITS, ROW_BLOCK, type Weights } from './kernels.js';

/** What is made of a part of a picture. */
interface Resampling {
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
  const across = axisWeights(interpolation, box.width, width, left, columns);
  const down = axisWeights(interpolation, box.height, height, top, rows);
  machine ??= new Machine();
  machine.used = 0;
  // Pillow 13 goes down first where more than twice as many rows as columns fall away; before, it never did.
  const isDownFirst = box.height > height && box.height - height > 2 * (box.width - width);
  const way = isDownFirst ? downThenAcross : acrossThenDown;
  const address = way(machine, picture, box, across, down);
  const stride = strideOf(columns);
  const pixels = new Uint8Array(rows * columns * 3);
  const result = new Uint8Array(machine.kernels.memory.buffer, address, rows * stride);
  for (let row = 0; row < rows; row++) {
    pixels.set(result.subarray(row * stride, row * stride + columns * 3), row * columns * 3);
  }
  return pixels;
}

/** @returns the address of the rows of the result */
function acrossThenDown(machine: Machine, picture: Picture, box: CropBox, across: Weights, down: Weights): number {
  const { acrossRows, downColumns } = machine.kernels;
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
  return result;
}

function downThenAcross(machine: Machine, picture: Picture, box: CropBox, across: Weights, down: Weights): number {
  const { acrossRows, downColumns } = machine.kernels;
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
    const first = down.starts[row];
    let end = row + 1;
    while (end < rows && down.starts[end] + down.taps - first <= stripRows) end++;
    const last = Math.min(down.last, down.starts[end - 1] + down.taps);
    putRows(machine, strip, picture, box.top + first, last - first);
    downColumns(
      strip - first * sourceStride + (box.left + across.first) * 3,
      sourceStride,
      between + row * betweenStride,
      betweenStride,
      end - row,
      betweenStride / COLUMN_BLOCK,
      downEntries + row * 4 * (1 + down.taps),
      down.taps / 2,
    );
    row = end;
  }
  acrossRows(between, betweenStride, result, stride, rows, columns, acrossEntries, across.taps / 2);
  return result;
}

/** Bytes of a row of so many pixels; a pixel is written with a byte more, and columns come in eights. */
function strideOf(pixels: number): number {
  return Math.ceil((pixels * 3 + 1) / COLUMN_BLOCK) * COLUMN_BLOCK;
}

function rowsInStrip(stride: number): number {
  return Math.max(1, Math.floor(STRIP_BYTES / stride / ROW_BLOCK)) * ROW_BLOCK;
}

function putRows(machine: Machine, address: number, { width, rgb }: Picture, first: number, count: number) {
  const bytes = width * 3;
  const rows = rgb.subarray(first * bytes, (first + count) * bytes);
  new Uint8Array(machine.kernels.memory.buffer).set(rows, address);
}

/** Writes (start + shift) * unit and the weights of each result, as the kernels read them. @returns their address */
function writeEntries(machine: Machine, weights: Weights, shift: number, unit: number): number {
  const { starts, taps, values } = weights;
  const address = machine.reserve(starts.length * 4 * (1 + taps));
  const words = new Int32Array(machine.kernels.memory.buffer, address, starts.length * (1 + taps));
  const lowMask = (1 << LOW_BITS) - 1;
  let at = 0;
  for (let result = 0; result < starts.length; result++) {
    words[at++] = (starts[result] + shift) * unit;
    for (let tap = result * taps; tap < (result + 1) * taps; tap += 2) {
      const [one, other] = [values[tap], values[tap + 1]];
      words[at++] = ((one >> LOW_BITS) & 0xffff) | ((other >> LOW_BITS) << 16);
      words[at++] = (one & lowMask) | ((other & lowMask) << 16);
    }
  }
  return address;
}

/** The functions of the module, whose parameters are told where they are made, and its memory. */
type Kernels = Record<'acrossRows' | 'downColumns', (...parameters: number[]) => void> & { memory: WebAssembly.Memory };

const PAGE = 65536;
/** Vectors may read that much beyond what they need. */
const SLACK = 64;

/**
 * The WebAssembly module that scales pictures. What is put into its memory lies one after the other; views become
 * useless when it grows, so that they are asked for when they are needed.
 */
class Machine {
  readonly kernels = new WebAssembly.Instance(new WebAssembly.Module(assembleModule([acrossRows(), downColumns()])))
    .exports as Kernels;
  /** Bytes of the memory that are taken. */
  used = 0;

  /** Makes room. @returns its address, a multiple of 16 */
  reserve(bytes: number): number {
    const { memory } = this.kernels;
    const address = this.used;
    this.used = (address + bytes + SLACK + 15) & ~15;
    const missing = this.used - memory.buffer.byteLength;
    if (missing > 0) memory.grow(Math.ceil(missing / PAGE));
    return address;
  }
}

/** The one machine of this thread, made when it is first needed: it holds nothing between two pictures. */
let machine: Machine | undefined;
