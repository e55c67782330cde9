import type { CropBox } from '../crop.js';
import type { PixelMachine } from '../pixel-machine.js';
import { BYTES_AT_ONCE, ROWS_AT_ONCE } from './kernels.js';
import type { Layout, Plane } from './planes.js';
import { bilinearWeights, type Weights } from './weights.js';

/** How the samples of one colour become those of the result. */
export interface Sampling {
  across: Weights;
  down: Weights;
}

/** @param box in pixels of the image, as stored */
export function samplingOf(layout: Layout, box: CropBox, side: number): Sampling {
  const { scale, halvedAcross, halvedDown, width, height } = layout;
  return {
    across: bilinearWeights({ scale, halved: halvedAcross, samples: width }, box.left, box.width, side),
    down: bilinearWeights({ scale, halved: halvedDown, samples: height }, box.top, box.height, side),
  };
}

/** Scales three planes of Y, Cb and Cr, the latter two of one layout. @returns RGB, [S, S, 3] */
export function resampleYcc(
  machine: PixelMachine,
  planes: readonly [Plane, Plane, Plane],
  luma: Sampling,
  chroma: Sampling,
  side: number,
): Uint8Array {
  const [y, cb, cr] = planes;
  const colours = [
    prepare(machine, y, luma, 1),
    prepare(machine, cb, chroma, 1),
    prepare(machine, cr, chroma, 1),
  ] as const;
  return blend(machine, side, colours, colours.map(({ columns }) => columns) as [number, number, number], 1, true);
}

/** Scales a plane of interleaved RGB. @returns RGB, [S, S, 3] */
export function resampleRgb(machine: PixelMachine, plane: Plane, sampling: Sampling, side: number): Uint8Array {
  const colour = prepare(machine, plane, sampling, 3);
  const { columns } = colour;
  return blend(machine, side, [colour], [columns, columns + 16, columns + 32], 3, false);
}

/** A colour, ready to be scaled. */
interface Prepared {
  source: number;
  stride: number;
  /** Groups of bytes in a row. */
  groups: number;
  rows: Entries;
  across: Entries;
  /** Where four blended rows go. */
  columns: number;
}

interface Entries {
  address: number;
  taps: number;
}

/** @param step bytes from one sample to the next */
function prepare(machine: PixelMachine, plane: Plane, { across, down }: Sampling, step: number): Prepared {
  const groups = Math.ceil(((across.last - across.first) * step) / BYTES_AT_ONCE);
  return {
    source: plane.address + (across.first - plane.left) * step,
    stride: plane.stride,
    groups,
    rows: writeEntries(machine, down, -plane.top, 1),
    across: writeEntries(machine, across, -across.first, 16 * step),
    columns: machine.reserve(groups * BYTES_AT_ONCE * 16),
  };
}

/** Writes (start + shift) * unit and the weights of each result, with copies of the last one up to a multiple of four. */
function writeEntries(machine: PixelMachine, weights: Weights, shift: number, unit: number): Entries {
  const { starts, taps, values } = weights;
  const count = Math.ceil(starts.length / ROWS_AT_ONCE) * ROWS_AT_ONCE;
  const size = 1 + taps;
  const address = machine.reserve(4 * count * size);
  const places = machine.words(address, count * size);
  const factors = machine.floats(address, count * size);
  for (let entry = 0; entry < count; entry++) {
    const result = Math.min(entry, starts.length - 1);
    const place = entry * size;
    places[place] = ((starts[result] as number) + shift) * unit;
    for (let tap = 0; tap < taps; tap++) factors[place + 1 + tap] = values[result * taps + tap] as number;
  }
  return { address, taps };
}

function blend(
  machine: PixelMachine,
  side: number,
  colours: readonly Prepared[],
  columns: readonly [number, number, number],
  step: number,
  isYcc: boolean,
): Uint8Array {
  const padded = Math.ceil(side / ROWS_AT_ONCE) * ROWS_AT_ONCE;
  const pixels = machine.reserve(padded * side * 3);
  const [first, other = colours[0]] = colours as [Prepared, Prepared?];
  const { blendRows, blendColumns } = machine.functions;
  for (let row = 0; row < side; row += ROWS_AT_ONCE) {
    for (const { source, stride, groups, rows, columns: target } of colours) {
      blendRows(source, stride, groups, rows.address + 4 * row * (1 + rows.taps), rows.taps, target);
    }
    blendColumns(
      pixels + row * side * 3,
      side,
      columns[0],
      first.across.address,
      first.across.taps,
      columns[1],
      columns[2],
      (other as Prepared).across.address,
      (other as Prepared).across.taps,
      16 * step,
      isYcc ? 1 : 0,
    );
  }
  return machine.bytes(pixels, side * side * 3).slice();
}
