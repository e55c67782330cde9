import type { PixelMachine } from '../pixel-machine.js';
import type { Layout, Plane } from '../resample/planes.js';
import type { HuffmanTable, JpegComponent, JpegHeader, JpegShape } from './header.js';
import { COMPONENT, MEMORY, TABLE } from './memory.js';

/** Bytes that a small block may write beyond its row (`transformSmall`). */
const SPILL = 8;

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

/** Where three planes lie beside one another, from address 0 on, and how many bytes they take: a multiple of 16. */
export interface Arrangement {
  planes: [Plane, Plane, Plane];
  bytes: number;
}

/** Arranges parts of planes, widened to whole blocks. */
export function arrangePlanes(shape: JpegShape, scale: number, wanted: { luma: Wanted; chroma: Wanted }): Arrangement {
  let bytes = 0;
  const planes = [0, 1, 2].map((component): Plane => {
    const { left, right, top, bottom } = component === 0 ? wanted.luma : wanted.chroma;
    const size = blockSize(shape, component, scale);
    const toBlocks = (from: number, to: number) => [Math.floor(from / size), Math.ceil(to / size)] as const;
    const [columns, rows] = [toBlocks(left, right), toBlocks(top, bottom)];
    const address = bytes;
    const stride = (columns[1] - columns[0]) * size + SPILL;
    bytes = (address + stride * (rows[1] - rows[0]) * size + SPILL + 15) & ~15;
    return { address, stride, left: columns[0] * size, top: rows[0] * size };
  }) as Arrangement['planes'];
  return { planes, bytes };
}

/** The planes of an arrangement that was put at an address. */
export function planesAt({ planes }: Arrangement, address: number): Arrangement['planes'] {
  return planes.map((plane) => ({ ...plane, address: address + plane.address })) as Arrangement['planes'];
}

/** Everything of planes of such layouts. */
export function wholePlanes({ luma, chroma }: { luma: Layout; chroma: Layout }): { luma: Wanted; chroma: Wanted } {
  const whole = ({ width, height }: Layout): Wanted => ({ left: 0, right: width, top: 0, bottom: height });
  return { luma: whole(luma), chroma: whole(chroma) };
}

/**
 * Decodes parts of the three planes at 1 / `scale` of the size, into the memory of the machine.
 * @returns their address, arranged by `arrangePlanes`; null where the compressed data are damaged
 */
export function decodePlanes(
  machine: PixelMachine,
  bytes: Uint8Array,
  header: JpegHeader,
  scale: number,
  wanted: { luma: Wanted; chroma: Wanted },
): number | null {
  const { components, width, height, restartInterval, scanStart } = header;
  const arrangement = arrangePlanes(header, scale, wanted);
  const address = machine.reserve(arrangement.bytes);
  const data = machine.put(bytes.subarray(scanStart));
  let mcuRows = 0;
  for (const [index, plane] of planesAt(arrangement, address).entries()) {
    const size = blockSize(header, index, scale);
    const { right, bottom } = index === 0 ? wanted.luma : wanted.chroma;
    const { across, down } = blocksOf(header, index);
    const lastRow = Math.ceil(bottom / size);
    mcuRows = Math.max(mcuRows, Math.ceil(lastRow / down));
    const { quantisation, dcTable, acTable } = components[index] as JpegComponent;
    writeComponent(machine, index, {
      across,
      down,
      dcTable: writeTable(machine, 2 * index, dcTable),
      acTable: writeTable(machine, 2 * index + 1, acTable),
      factors: writeFactors(machine, index, quantisation),
      plane: plane.address,
      stride: plane.stride,
      size,
      previous: 0,
      firstColumn: plane.left / size,
      lastColumn: Math.ceil(right / size),
      firstRow: plane.top / size,
      lastRow,
    });
  }
  machine.floats(MEMORY.block, 64).fill(0);
  const failed = machine.functions.decodeScan(
    data,
    data + bytes.length - scanStart,
    Math.ceil(width / (8 * header.across)),
    Math.min(mcuRows, Math.ceil(height / (8 * header.down))),
    restartInterval,
  );
  return failed ? null : address;
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
