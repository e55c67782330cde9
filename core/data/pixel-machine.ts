import { assembleModule } from '../wasm/module.js';
import { MEMORY } from './jpeg/memory.js';
import { decodeScan } from './jpeg/scan.js';
import { cosineTables, fill, transform8, transformSmall } from './jpeg/transform.js';
import { blendColumns, blendRows, checksum } from './resample/kernels.js';

/** The functions of the module; their parameters are told where they are made. */
export interface PixelFunctions {
  decodeScan(data: number, end: number, mcusAcross: number, mcuRows: number, restartInterval: number): number;
  blendRows(source: number, stride: number, groups: number, entries: number, taps: number, target: number): void;
  blendColumns(...parameters: number[]): void;
  checksum(address: number, bytes: number): number;
}

const PAGE = 65536;
/** Vectors may read that much beyond what they need. */
const SLACK = 256;

/**
 * The WebAssembly module that decodes JPEGs and scales pictures, with its memory. What is put into the memory lies one after
 * the other until `clear`; views become useless when it grows, so that they are asked for when they are needed.
 */
export class PixelMachine {
  readonly functions: PixelFunctions;
  readonly #memory: WebAssembly.Memory;
  #used: number = MEMORY.heap;

  constructor() {
    const { exports } = new WebAssembly.Instance(pixelModule());
    this.#memory = exports.memory as WebAssembly.Memory;
    this.functions = {
      decodeScan: exports.decodeScan as PixelFunctions['decodeScan'],
      blendRows: exports.blendRows as PixelFunctions['blendRows'],
      blendColumns: exports.blendColumns as PixelFunctions['blendColumns'],
      checksum: exports.checksum as PixelFunctions['checksum'],
    };
    this.#writeTables();
  }

  /** Forgets all that was put into the memory. */
  clear(): void {
    this.#used = MEMORY.heap;
  }

  /** Makes room. @returns its address, a multiple of 16 */
  reserve(bytes: number): number {
    const address = this.#used;
    this.#used = (address + bytes + SLACK) & ~15;
    const missing = this.#used - this.#memory.buffer.byteLength;
    if (missing > 0) this.#memory.grow(Math.ceil(missing / PAGE));
    return address;
  }

  /** Puts bytes into the memory. @returns their address */
  put(bytes: Uint8Array): number {
    const address = this.reserve(bytes.length);
    this.bytes(address, bytes.length).set(bytes);
    return address;
  }

  bytes(address: number, length: number): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.#memory.buffer as ArrayBuffer, address, length);
  }

  words(address: number, length: number): Int32Array {
    return new Int32Array(this.#memory.buffer, address, length);
  }

  floats(address: number, length: number): Float32Array {
    return new Float32Array(this.#memory.buffer, address, length);
  }

  #writeTables(): void {
    const { whole, small } = cosineTables();
    this.floats(MEMORY.cosines, whole.length).set(whole);
    for (const [points, table] of small) {
      this.floats(MEMORY.smallCosines + 64 * points, table.length).set(table);
    }
    this.words(MEMORY.zigzag, 64).set(ZIGZAG.map((place) => 4 * place));
  }
}

/** Place in a block, row by row, of the coefficients in zigzag order (ITU-T T.81, figure A.6). */
const ZIGZAG = Array.from({ length: 64 }, (_, place) => place).sort((a, b) => {
  const [rowA, columnA, rowB, columnB] = [a >> 3, a & 7, b >> 3, b & 7];
  const [diagonalA, diagonalB] = [rowA + columnA, rowB + columnB];
  if (diagonalA !== diagonalB) return diagonalA - diagonalB;
  return diagonalA % 2 === 0 ? columnA - columnB : rowA - rowB;
});

/** Assembled when it is first needed, once for a thread. */
let compiled: WebAssembly.Module | undefined;

function pixelModule(): WebAssembly.Module {
  compiled ??= new WebAssembly.Module(
    assembleModule([
      transform8(),
      transformSmall(),
      fill(),
      decodeScan({ transform8: 0, transformSmall: 1, fill: 2 }),
      blendRows(),
      blendColumns(),
      checksum(),
    ]),
  );
  return compiled;
}
