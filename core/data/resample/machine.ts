import { assembleModule } from '../../wasm/module.js';
import { acrossRows, downColumns } from './kernels.js';

/** The functions of the module; their parameters are told where they are made. */
interface ResampleFunctions {
  acrossRows(...parameters: number[]): void;
  downColumns(...parameters: number[]): void;
}

const PAGE = 65536;
/** Vectors may read that much beyond what they need. */
const SLACK = 64;

/**
 * The WebAssembly module that scales pictures, with its memory. What is put into the memory lies one after the other until
 * `clear`; views become useless when it grows, so that they are asked for when they are needed.
 */
export class ResampleMachine {
  readonly functions: ResampleFunctions;
  readonly #memory: WebAssembly.Memory;
  #used = 0;

  constructor() {
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(assembleModule([acrossRows(), downColumns()])));
    this.#memory = exports.memory as WebAssembly.Memory;
    this.functions = {
      acrossRows: exports.acrossRows as ResampleFunctions['acrossRows'],
      downColumns: exports.downColumns as ResampleFunctions['downColumns'],
    };
  }

  /** Forgets all that was put into the memory. */
  clear(): void {
    this.#used = 0;
  }

  /** Makes room. @returns its address, a multiple of 16 */
  reserve(bytes: number): number {
    const address = this.#used;
    this.#used = (address + bytes + SLACK + 15) & ~15;
    const missing = this.#used - this.#memory.buffer.byteLength;
    if (missing > 0) this.#memory.grow(Math.ceil(missing / PAGE));
    return address;
  }

  bytes(address: number, length: number): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.#memory.buffer as ArrayBuffer, address, length);
  }

  words(address: number, length: number): Int32Array {
    return new Int32Array(this.#memory.buffer, address, length);
  }
}

let machine: ResampleMachine | undefined;

/** The one machine of this thread, made when it is first needed: it holds nothing between two pictures. */
export function clearMachine(): ResampleMachine {
  machine ??= new ResampleMachine();
  machine.clear();
  return machine;
}
