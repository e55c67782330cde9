import type { PixelMachine } from '../pixel-machine.js';
import type { Layout, Plane } from '../resample/planes.js';
import type { HuffmanTable, JpegHeader, JpegShape } from './header.js';
import { COMPONENT, MEMORY, TABLE } from './memory.js';

/** Samples of a plane that are wanted; the last ones are not included. */
export interface Wanted {
  left: number;
  right: number;
  top: number;
  bottom: number;
}

/** The layouts of a JPEG's planes at 1 / `scale` of its size. */
export function layoutsOf(shape: JpegShape, scale: number): { luma: Layout; chroma: Layout } {
  const [luma, chroma] = [0, 1].map((component): Layout => {
    const { across, down } = shrinkOf(shape, component, scale);
    const part = (length: number, shrink: number) => Math.ceil(length / shrink);
    return {
      scale,
      halvedAcross: across > scale,
      halvedDown: down > scale,
      width: part(shape.width, across),
      height: part(shape.height, down),
    };
  }) as [Layout, Layout];
  return { luma, chroma };
}

/**
 * Decodes parts of the three planes at 1 / `scale` of the size, into the memory of the machine.
 * @returns null where the compressed data are damaged
 */
export function decodePlanes(
  machine: PixelMachine,
  bytes: Uint8Array,
  header: JpegHeader,
  scale: number,
  wanted: { luma: Wanted; chroma: Wanted },
): [Plane, Plane, Plane] | null {
  const { components, width, height, restartInterval, scanStart } = header;
  const mcu = { width: 8 * header.across, height: 8 * header.down };
  const data = machine.put(bytes.subarray(scanStart));
  const planes: Plane[] = [];
  let mcuRows = 0;
  for (const [index, component] of components.entries()) {
    const size = blockSize(header, index, scale);
    const { left, right, top, bottom } = index === 0 ? wanted.luma : wanted.chroma;
    const columns = [Math.floor(left / size), Math.ceil(right / size)] as const;
    const rows = [Math.floor(top / size), Math.ceil(bottom / size)] as const;
    const stride = (columns[1] - columns[0]) * size + 8; // room for what a small block writes too much
    const plane = machine.reserve(stride * (rows[1] - rows[0]) * size + 8);
    planes.push({ address: plane, stride, left: columns[0] * size, top: rows[0] * size });
    const { across, down } = blocksOf(header, index);
    mcuRows = Math.max(mcuRows, Math.ceil(rows[1] / down));
    writeComponent(machine, index, {
      across,
      down,
      dcTable: writeTable(machine, 2 * index, component.dcTable),
      acTable: writeTable(machine, 2 * index + 1, component.acTable),
      factors: writeFactors(machine, index, component.quantisation),
      plane,
      stride,
      size,
      previous: 0,
      firstColumn: columns[0],
      lastColumn: columns[1],
      firstRow: rows[0],
      lastRow: rows[1],
    });
  }
  machine.floats(MEMORY.block, 64).fill(0);
  const failed = machine.functions.decodeScan(
    data,
    data + bytes.length - scanStart,
    Math.ceil(width / mcu.width),
    Math.min(mcuRows, Math.ceil(height / mcu.height)),
    restartInterval,
  );
  return failed ? null : (planes as [Plane, Plane, Plane]);
}

/** The blocks of a component in an MCU. */
function blocksOf({ across, down }: JpegShape, component: number): { across: number; down: number } {
  return component === 0 ? { across, down } : { across: 1, down: 1 };
}

/**
 * The side of what a block becomes. Colours at a quarter of the resolution become as large as the rest where the scale
 * allows it, as in libjpeg.
 */
function blockSize({ across, down }: JpegShape, component: number, scale: number): number {
  const isQuarter = component > 0 && across === 2 && down === 2;
  return Math.min(8, ((isQuarter ? 2 : 1) * 8) / scale);
}

/** Pixels of the image that a sample stands for, across and down. */
function shrinkOf(shape: JpegShape, component: number, scale: number): { across: number; down: number } {
  const { across, down } = blocksOf(shape, component);
  const size = blockSize(shape, component, scale);
  return { across: (8 / size) * (shape.across / across), down: (8 / size) * (shape.down / down) };
}

function writeComponent(machine: PixelMachine, index: number, fields: Record<keyof typeof COMPONENT, number>): void {
  const words = machine.words(MEMORY.components + index * MEMORY.componentBytes, MEMORY.componentBytes / 4);
  for (const [name, offset] of Object.entries(COMPONENT)) words[offset / 4] = fields[name as keyof typeof COMPONENT];
}

function writeFactors(machine: PixelMachine, index: number, quantisation: Uint8Array): number {
  const address = MEMORY.factors + 256 * index;
  machine.floats(address, 64).set(quantisation);
  return address;
}

/** Codes are consecutive numbers, the shorter ones first (ITU-T T.81, annex C). */
function writeTable(machine: PixelMachine, index: number, { counts, symbols }: HuffmanTable): number {
  const address = MEMORY.tables + index * MEMORY.tableBytes;
  const bytes = machine.bytes(address, MEMORY.tableBytes);
  const lookup = new Uint16Array(bytes.buffer, address + TABLE.lookup, 2 ** TABLE.lookupBits).fill(0);
  const ends = machine.words(address + TABLE.ends, 17);
  const offsets = machine.words(address + TABLE.offsets, 17);
  let code = 0;
  let place = 0;
  for (let length = 1; length <= 16; length++) {
    offsets[length] = place - code;
    for (let left = counts[length - 1] as number; left > 0; left--, code++, place++) {
      if (length > TABLE.lookupBits) continue;
      const first = code << (TABLE.lookupBits - length);
      const entry = (length << 8) | (symbols[place] as number);
      lookup.fill(entry, first, first + 2 ** (TABLE.lookupBits - length));
    }
    ends[length] = code << (16 - length);
    code <<= 1;
  }
  bytes.set(symbols, TABLE.symbols);
  return address;
}
