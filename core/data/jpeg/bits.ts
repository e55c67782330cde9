import {
  type Code,
  doWhile,
  give,
  i32,
  i64,
  type Local,
  sequence,
  type Variables,
  when,
} from '../../wasm/instructions.js';
import { TABLE } from './memory.js';

/** Ways to read the bits of the compressed data; all of them are code for the middle of a function. */
export interface BitReader {
  reset: Code;
  /** Makes more than 32 bits ready, enough for a code and its value. Zeros follow the end of the data. */
  refill: Code;
  /** Reads a symbol by the table at an address. */
  symbol(table: Code, symbol: Local): Code;
  /** Reads some bits, at least one. */
  take(count: Local): Code;
  /** Fails where bits were read that do not exist. */
  requireRealBits: Code;
  /** Fails where, after less than a byte, anything but such a marker follows. */
  requireMarker(lowest: number, highest: number): Code;
}

const constant = i32.const;
const FAIL = give(constant(1));

/**
 * @param data the address of the next byte; stays at a marker that it meets
 * @param end the address after the last byte
 */
export function readBits(variables: Pick<Variables<never>, 'declare'>, data: Local, end: Local): BitReader {
  // The next bits are the highest ones of `bits`; `ready` says how many there are, of which `invented` do not exist.
  const bits = variables.declare('i64');
  const [ready, invented, byte, entry, code] = [0, 1, 2, 3, 4].map(() => variables.declare('i32')) as [
    Local,
    Local,
    Local,
    Local,
    Local,
  ];
  const drop = (count: Code) =>
    sequence(bits.set(i64.shl(bits.get, i64.extend(count))), ready.set(i32.sub(ready.get, count)));
  const top = (count: Code) => i32.wrap(i64.shr(bits.get, i64.extend(i32.sub(constant(64), count))));
  const append = (value: Code, count: number) =>
    sequence(
      bits.set(i64.or(bits.get, i64.shl(i64.extend(value), i64.extend(i32.sub(constant(64 - count), ready.get))))),
      ready.add(count),
    );

  // A byte after which zeros follow where the data end; 0xff is a byte only if 0x00 follows, and a marker otherwise.
  const nextByte = sequence(
    byte.set(constant(0)),
    when(
      i32.lessUnsigned(data.get, end.get),
      sequence(
        byte.set(i32.load8(data.get)),
        when(
          i32.equal(byte.get, constant(0xff)),
          when(i32.isZero(i32.load8(data.get, 1)), data.add(2), sequence(byte.set(constant(0)), invented.add(8))),
          data.add(1),
        ),
      ),
      invented.add(8),
    ),
    append(byte.get, 8),
  );
  const word = entry;
  const hasMarkerByte = () => {
    const inverted = i32.xor(word.get, constant(-1));
    return i32.and(i32.and(i32.sub(inverted, constant(0x01010101)), word.get), constant(0x80808080));
  };
  const reversed = i32.or(
    i32.and(i32.rotl(word.get, constant(8)), constant(0x00ff00ff)),
    i32.and(i32.rotl(word.get, constant(24)), constant(0xff00ff00)),
  );
  const refill = when(
    i32.less(ready.get, constant(33)),
    sequence(
      word.set(i32.load(data.get)),
      when(
        i32.or(hasMarkerByte(), i32.lessUnsigned(end.get, i32.add(data.get, constant(4)))),
        doWhile(nextByte, i32.less(ready.get, constant(33))),
        sequence(append(reversed, 32), data.add(4)),
      ),
    ),
  );

  // A code of more bits than the lookup has: the first length at which it is not beyond the last code of that length.
  const length = entry;
  const longSymbol = (table: Code, symbol: Local) =>
    sequence(
      code.set(top(constant(16))),
      length.set(constant(TABLE.lookupBits)),
      doWhile(
        sequence(length.add(1), when(i32.greater(length.get, constant(16)), FAIL)),
        i32.notLess(code.get, i32.load(i32.add(table, i32.shl(length.get, constant(2))), TABLE.ends)),
      ),
      symbol.set(
        i32.load8(
          i32.add(
            table,
            i32.add(
              i32.shr(code.get, i32.sub(constant(16), length.get)),
              i32.load(i32.add(table, i32.shl(length.get, constant(2))), TABLE.offsets),
            ),
          ),
          TABLE.symbols,
        ),
      ),
      drop(length.get),
    );

  return {
    reset: sequence(bits.set(i64.const(0n)), ready.set(constant(0)), invented.set(constant(0))),
    refill,
    symbol: (table, symbol) =>
      sequence(
        entry.set(i32.load16(i32.add(table, i32.shl(top(constant(TABLE.lookupBits)), constant(1))), TABLE.lookup)),
        when(
          entry.get,
          sequence(
            symbol.set(i32.and(entry.get, constant(255))),
            entry.set(i32.shr(entry.get, constant(8))),
            drop(entry.get),
          ),
          longSymbol(table, symbol),
        ),
      ),
    take: (count) => sequence(code.set(top(count.get)), drop(count.get), code.get),
    requireRealBits: when(i32.less(ready.get, invented.get), FAIL),
    requireMarker: (lowest, highest) =>
      sequence(
        when(i32.greater(i32.sub(ready.get, invented.get), constant(7)), FAIL),
        when(i32.lessUnsigned(end.get, i32.add(data.get, constant(2))), FAIL),
        byte.set(i32.load8(data.get, 1)),
        when(i32.or(i32.less(byte.get, constant(lowest)), i32.greater(byte.get, constant(highest))), FAIL),
        when(i32.lessUnsigned(i32.load8(data.get), constant(0xff)), FAIL),
      ),
  };
}
