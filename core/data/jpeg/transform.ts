import { type Code, doWhile, floats, i32, sequence, Variables, v128 } from '../../wasm/instructions.js';
import type { WasmFunction } from '../../wasm/module.js';
import { MEMORY } from './memory.js';

/** Bytes of a row of a block. */
const ROW = 32;
const HALF = 16;
/** Reverses the order of four floats. */
const REVERSED = [12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3];
/** Bytes are stored without a sign. */
const SHIFT = 128;

/**
 * transform8(target, stride): pixels [8, 8] of the block in memory, by the inverse cosine transform
 *
 *     f(y, x) = sum over v, u of a(v, y) a(u, x) F(v, u),   a(u, x) = c(u) cos((2x + 1) u pi / 16) / 2,   c(0) = 1 / sqrt 2
 *
 * in two passes of floats. As a(u, 7 - x) is a(u, x) for even u and -a(u, x) for odd u, half of each pass is enough.
 */
export function transform8(): WasmFunction {
  const variables = new Variables('target', 'stride');
  const { target, stride } = variables.given;
  const [even, odd] = [variables.declare('v128'), variables.declare('v128')];
  const sum = (frequencies: number[], left: (u: number) => Code, right: (u: number) => Code): Code =>
    frequencies.map((u) => v128.mul(left(u), right(u))).reduce((total, product) => v128.add(total, product));
  const EVEN = [0, 2, 4, 6];
  const ODD = [1, 3, 5, 7];
  const zero = i32.const(0);
  const code: Code[] = [];
  // Down the columns, four of them at a time: rows(y, u) = sum over v of a(v, y) F(v, u).
  for (let y = 0; y < 4; y++) {
    for (const part of [0, HALF]) {
      const cosine = (v: number) => v128.loadSplat(zero, MEMORY.cosines + v * HALF + 4 * y);
      const coefficients = (v: number) => v128.load(zero, MEMORY.block + v * ROW + part);
      code.push(
        even.set(sum(EVEN, cosine, coefficients)),
        odd.set(sum(ODD, cosine, coefficients)),
        v128.store(zero, v128.add(even.get, odd.get), MEMORY.rows + y * ROW + part),
        v128.store(zero, v128.sub(even.get, odd.get), MEMORY.rows + (7 - y) * ROW + part),
      );
    }
  }
  // Along the rows: f(y, x) = sum over u of rows(y, u) a(u, x), for x from 0 to 3 and mirrored from 7 to 4.
  for (let y = 0; y < 8; y++) {
    const value = (u: number) => v128.loadSplat(zero, MEMORY.rows + y * ROW + 4 * u);
    const cosines = (u: number) => v128.load(zero, MEMORY.cosines + u * HALF);
    code.push(
      even.set(v128.add(sum(EVEN, value, cosines), floats(SHIFT))),
      odd.set(sum(ODD, value, cosines)),
      v128.storeDouble(
        target.get,
        toBytes(
          v128.add(even.get, odd.get),
          v128.shuffle(v128.sub(even.get, odd.get), v128.sub(even.get, odd.get), REVERSED),
        ),
      ),
      target.add(stride.get),
    );
  }
  return {
    name: 'transform8',
    parameters: variables.parameters,
    result: false,
    locals: variables.locals,
    body: sequence(...code),
  };
}

/**
 * transformSmall(target, stride, size, cosines): the same with 1, 2 or 4 points, which gives the block at that size. Four
 * pixels are stored in each of `size` rows: those that are too many are written over by the block to the right.
 */
export function transformSmall(): WasmFunction {
  const variables = new Variables('target', 'stride', 'size', 'cosines');
  const { target, stride, size, cosines } = variables.given;
  const y = variables.declare('i32');
  const columns = variables.declare('v128');
  const zero = i32.const(0);
  const FREQUENCIES = [0, 1, 2, 3];
  const total = (terms: Code[]) => terms.reduce((sum, term) => v128.add(sum, term));
  const cosineOfRow = (v: number) => v128.loadSplat(i32.add(cosines.get, i32.shl(y.get, i32.const(2))), v * HALF);
  const body = sequence(
    y.set(zero),
    doWhile(
      sequence(
        columns.set(total(FREQUENCIES.map((v) => v128.mul(cosineOfRow(v), v128.load(zero, MEMORY.block + v * ROW))))),
        v128.store(zero, columns.get, MEMORY.rows),
        columns.set(
          total(
            FREQUENCIES.map((u) =>
              v128.mul(v128.loadSplat(zero, MEMORY.rows + 4 * u), v128.load(cosines.get, u * HALF)),
            ),
          ),
        ),
        columns.set(v128.add(columns.get, floats(SHIFT))),
        v128.storeWord(target.get, toBytes(columns.get, columns.get)),
        target.add(stride.get),
        y.add(1),
      ),
      i32.less(y.get, size.get),
    ),
  );
  return { name: 'transformSmall', parameters: variables.parameters, result: false, locals: variables.locals, body };
}

/** fill(target, stride, size, value): a block of one value; four or eight bytes a row. */
export function fill(): WasmFunction {
  const variables = new Variables('target', 'stride', 'size', 'value');
  const { target, stride, size, value } = variables.given;
  const y = variables.declare('i32');
  const body = sequence(
    value.set(i32.mul(value.get, i32.const(0x01010101))),
    y.set(i32.const(0)),
    doWhile(
      sequence(
        i32.store(target.get, value.get),
        // With less than eight rows this is too much as well, and written over in the same way.
        i32.store(target.get, value.get, 4),
        target.add(stride.get),
        y.add(1),
      ),
      i32.less(y.get, size.get),
    ),
  );
  return { name: 'fill', parameters: variables.parameters, result: false, locals: variables.locals, body };
}

/** Eight floats as bytes, in the lowest lanes. */
function toBytes(low: Code, high: Code): Code {
  const words = v128.narrow(v128.round(low), v128.round(high));
  return v128.narrowBytes(words, words);
}

/** The tables of the transforms, as they lie in memory: [8, 4] of 8 points, then [4, 4] of 1, 2 and 4 points. */
export function cosineTables(): { whole: Float32Array; small: Map<number, Float32Array> } {
  const table = (points: number, frequencies: number) =>
    Float32Array.from({ length: frequencies * 4 }, (_, at) => {
      const [u, x] = [at >> 2, at & 3];
      if (u >= points || x >= points) return 0;
      const scale = u === 0 ? Math.SQRT1_2 : 1;
      return (scale * Math.cos(((2 * x + 1) * u * Math.PI) / (2 * points))) / 2;
    });
  return { whole: table(8, 8), small: new Map([1, 2, 4].map((points) => [points, table(points, 4)])) };
}
