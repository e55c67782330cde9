import { doWhile, sequence, Variables, v128 } from '../../wasm/instructions.js';
import { assembleModule, type WasmFunction } from '../../wasm/module.js';
import { BYTES, LANES } from './update-kernel.js';

/** Floats that are added at once: few enough to stay in the processor's cache. */
const BLOCK = 2 ** 14;

/** add(groups, sum, addend): sum += addend on vectors of four floats; the last two are addresses. */
function addKernel(): WasmFunction {
  const variables = new Variables('groups', 'sum', 'addend');
  const { groups, sum, addend } = variables.given;
  const body = doWhile(
    sequence(
      v128.store(sum.get, v128.add(v128.load(sum.get), v128.load(addend.get))),
      sum.add(BYTES),
      addend.add(BYTES),
      groups.add(-1),
    ),
    groups.get,
  );
  return { name: 'add', parameters: variables.parameters, locals: variables.locals, body };
}

/** Adds arrays of floats with vector instructions, block by block in memory of its own: twice as fast as a loop. */
export class Adder {
  readonly #add: (groups: number, sum: number, addend: number) => void;
  readonly #sum: Float32Array;
  readonly #addend: Float32Array;

  constructor() {
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(assembleModule([addKernel()])));
    const memory = exports.memory as WebAssembly.Memory;
    memory.grow((2 * 4 * BLOCK) / 2 ** 16);
    this.#add = exports.add as (groups: number, sum: number, addend: number) => void;
    this.#sum = new Float32Array(memory.buffer, 0, BLOCK);
    this.#addend = new Float32Array(memory.buffer, 4 * BLOCK, BLOCK);
  }

  /** Changes `sum` in place; both have one length. */
  add(sum: Float32Array, addend: Float32Array): void {
    for (let from = 0; from < sum.length; from += BLOCK) {
      const block = sum.subarray(from, from + BLOCK);
      this.#sum.set(block);
      this.#addend.set(addend.subarray(from, from + BLOCK));
      this.#add(Math.ceil(block.length / LANES), this.#sum.byteOffset, this.#addend.byteOffset);
      block.set(this.#sum.subarray(0, block.length));
    }
  }
}
