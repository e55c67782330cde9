import {
  type Code,
  call,
  doWhile,
  floats,
  give,
  i32,
  type Local,
  select,
  sequence,
  Variables,
  v128,
  when,
  whileTrue,
} from '../../wasm/instructions.js';
import type { WasmFunction } from '../../wasm/module.js';
import { readBits } from './bits.js';
import { COMPONENT, MEMORY } from './memory.js';

/** The numbers of the functions that `decodeScan` calls. */
export interface TransformFunctions {
  transform8: number;
  transformSmall: number;
  fill: number;
}

const FAILED = i32.const(1);
const DONE = i32.const(0);
const constant = i32.const;

/**
 * decodeScan(data, end, mcusAcross, mcuRows, restartInterval): decodes rows of MCUs from the start of the scan (ITU-T T.81,
 * annex F), and transforms the blocks that are wanted into the planes of their components.
 * @returns 0; 1 where the data are not what they should be
 */
export function decodeScan(functions: TransformFunctions): WasmFunction {
  const variables = new Variables('data', 'end', 'mcusAcross', 'mcuRows', 'restartInterval');
  const { data, end, mcusAcross, mcuRows, restartInterval } = variables.given;
  const number = () => variables.declare('i32');
  const bits = readBits(variables, data, end);
  const [mcuX, mcuY, component, blockX, blockY, column, row] = [
    number(),
    number(),
    number(),
    number(),
    number(),
    number(),
    number(),
  ];
  const [symbol, size, value, place, wanted, untilRestart, target] = [
    number(),
    number(),
    number(),
    number(),
    number(),
    number(),
    number(),
  ];
  const field = (name: keyof typeof COMPONENT) => i32.load(component.get, COMPONENT[name]);
  const setField = (name: keyof typeof COMPONENT, content: Code) => i32.store(component.get, content, COMPONENT[name]);

  const forgetPrevious = sequence(
    ...[0, 1, 2].map((index) =>
      i32.store(constant(0), constant(0), MEMORY.components + index * MEMORY.componentBytes + COMPONENT.previous),
    ),
  );

  const restart = sequence(
    bits.refill,
    bits.requireMarker(0xd0, 0xd7),
    data.add(2),
    bits.reset,
    forgetPrevious,
    untilRestart.set(restartInterval.get),
  );

  /**
   * The value of a coefficient that has `size` bits: 1 - 2 ** size is added to those below half of the range. Without a
   * branch, which no processor could foresee.
   */
  const half = i32.shl(constant(1), i32.sub(size.get, constant(1)));
  const readValue = sequence(
    value.set(bits.take(size)),
    value.add(
      i32.and(
        i32.shrSigned(i32.sub(value.get, half), constant(31)),
        i32.add(i32.shl(constant(-1), size.get), constant(1)),
      ),
    ),
  );

  const readDirect = sequence(
    bits.refill,
    bits.symbol(field('dcTable'), symbol),
    when(i32.greater(symbol.get, constant(11)), give(FAILED)),
    value.set(constant(0)),
    when(symbol.get, sequence(size.set(symbol.get), readValue)),
    setField('previous', value.tee(i32.add(field('previous'), value.get))),
    when(wanted.get, storeCoefficient(constant(0), value, field('factors'))),
  );

  /** Ends with `place` after the last coefficient that is not 0; 1 where all but the first one are. */
  const lastPlace = number();
  const readOthers = sequence(
    place.set(constant(1)),
    lastPlace.set(constant(0)),
    whileTrue(
      i32.less(place.get, constant(64)),
      sequence(
        bits.refill,
        bits.symbol(field('acTable'), symbol),
        size.set(i32.and(symbol.get, constant(15))),
        place.add(i32.shr(symbol.get, constant(4))),
        when(
          size.get,
          sequence(
            when(i32.greater(place.get, constant(63)), give(FAILED)),
            readValue,
            when(wanted.get, sequence(storeCoefficient(place.get, value, field('factors')), lastPlace.set(place.get))),
            place.add(1),
          ),
          // 15 zeros before this one, or none: the rest of the block is zeros
          place.set(select(i32.add(place.get, constant(1)), constant(64), i32.equal(symbol.get, constant(0xf0)))),
        ),
      ),
    ),
  );

  const finishBlock = sequence(
    target.set(
      i32.add(
        field('plane'),
        i32.add(
          i32.mul(i32.mul(i32.sub(row.get, field('firstRow')), field('size')), field('stride')),
          i32.mul(i32.sub(column.get, field('firstColumn')), field('size')),
        ),
      ),
    ),
    size.set(field('size')),
    when(
      lastPlace.get,
      sequence(
        when(
          i32.equal(size.get, constant(8)),
          call(functions.transform8, target.get, field('stride')),
          call(
            functions.transformSmall,
            target.get,
            field('stride'),
            size.get,
            i32.add(constant(MEMORY.smallCosines), i32.mul(size.get, constant(64))),
          ),
        ),
        ...Array.from({ length: 16 }, (_, part) => v128.store(constant(0), v128.zero, MEMORY.block + 16 * part)),
      ),
      call(functions.fill, target.get, field('stride'), size.get, directByte()),
    ),
  );

  const readBlock = sequence(
    column.set(i32.add(i32.mul(mcuX.get, field('across')), blockX.get)),
    row.set(i32.add(i32.mul(mcuY.get, field('down')), blockY.get)),
    wanted.set(
      i32.and(
        i32.and(i32.notLess(column.get, field('firstColumn')), i32.less(column.get, field('lastColumn'))),
        i32.and(i32.notLess(row.get, field('firstRow')), i32.less(row.get, field('lastRow'))),
      ),
    ),
    readDirect,
    readOthers,
    when(wanted.get, finishBlock),
  );

  const readMcu = sequence(
    component.set(constant(MEMORY.components)),
    doWhile(
      sequence(
        blockY.set(constant(0)),
        doWhile(
          sequence(
            blockX.set(constant(0)),
            doWhile(sequence(readBlock, blockX.add(1)), i32.less(blockX.get, field('across'))),
            blockY.add(1),
          ),
          i32.less(blockY.get, field('down')),
        ),
        component.add(MEMORY.componentBytes),
      ),
      i32.less(component.get, constant(MEMORY.components + 3 * MEMORY.componentBytes)),
    ),
    bits.requireRealBits,
  );

  const body = sequence(
    bits.reset,
    forgetPrevious,
    untilRestart.set(restartInterval.get),
    mcuY.set(constant(0)),
    whileTrue(
      i32.less(mcuY.get, mcuRows.get),
      sequence(
        mcuX.set(constant(0)),
        doWhile(
          sequence(
            when(i32.and(i32.isZero(untilRestart.get), i32.greater(restartInterval.get, constant(0))), restart),
            readMcu,
            untilRestart.add(-1),
            mcuX.add(1),
          ),
          i32.less(mcuX.get, mcusAcross.get),
        ),
        mcuY.add(1),
      ),
    ),
    DONE,
  );
  return { name: 'decodeScan', parameters: variables.parameters, result: true, locals: variables.locals, body };
}

/** Puts a coefficient, times its factor, into the block. */
function storeCoefficient(place: Code, value: Local, factors: Code): Code {
  const four = i32.shl(place, i32.const(2));
  const product = v128.mul(v128.toFloat(v128.splatInt(value.get)), v128.loadSplat(i32.add(factors, four)));
  return v128.storeWord(i32.load(four, MEMORY.zigzag), product, MEMORY.block);
}

/** The one pixel value of a block of which only the first coefficient, its mean times 8, is not 0. */
function directByte(): Code {
  const mean = v128.add(v128.mul(v128.loadSplat(i32.const(0), MEMORY.block), floats(1 / 8)), floats(128));
  const words = v128.narrow(v128.round(mean), v128.round(mean));
  return i32.and(v128.lane(v128.narrowBytes(words, words), 0), i32.const(255));
}
