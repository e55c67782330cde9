/*
 * WebAssembly written as expressions of TypeScript: every function here gives the bytes of an instruction after those of
 * its operands (WebAssembly Core Specification 2.0, chapter 5). There is no check beyond the engine's own, which refuses
 * a module that is not valid.
 */

export type Code = readonly number[];
export type ValueType = 'i32' | 'v128';

export const TYPES: Record<ValueType, number> = { i32: 0x7f, v128: 0x7b };
const NO_RESULT = 0x40;

/** A local variable or parameter of a function. */
export interface Local {
  get: Code;
  set(value: Code): Code;
  /** Adds to an i32. */
  add(amount: Code | number): Code;
}

/** The variables of a function: its i32 parameters, by name, and those that are declared one after the other. */
export class Variables<Name extends string> {
  readonly locals: ValueType[] = [];
  readonly given: Readonly<Record<Name, Local>>;
  readonly parameters: number;

  constructor(...parameters: Name[]) {
    this.parameters = parameters.length;
    this.given = Object.fromEntries(parameters.map((name, index) => [name, local(index)])) as Record<Name, Local>;
  }

  declareAll(type: ValueType, count: number): Local[] {
    return Array.from({ length: count }, () => this.declare(type));
  }

  declare(type: ValueType): Local {
    this.locals.push(type);
    return local(this.parameters + this.locals.length - 1);
  }
}

function local(index: number): Local {
  const place = unsigned(index);
  const self: Local = {
    get: [0x20, ...place],
    set: (value) => [...value, 0x21, ...place],
    add: (amount) => self.set(i32.add(self.get, typeof amount === 'number' ? i32.const(amount) : amount)),
  };
  return self;
}

const plain =
  (opcode: number) =>
  (...operands: Code[]): Code => [...operands.flat(), opcode];
const vector =
  (opcode: number) =>
  (...operands: Code[]): Code => [...operands.flat(), 0xfd, ...unsigned(opcode)];
/** With an address and an offset; every address may be unaligned. */
const load =
  (...opcode: number[]) =>
  (address: Code, offset = 0): Code => [...address, ...opcode, 0, ...unsigned(offset)];

export const i32 = {
  const: (value: number): Code => [0x41, ...signed(value | 0)],
  load: load(0x28),
  greater: plain(0x4a),
  add: plain(0x6a),
  mul: plain(0x6c),
};

export const v128 = {
  load: load(0xfd, 0x00),
  /** Four bytes (a 32-bit word) in all lanes. */
  loadSplat: load(0xfd, 0x09),
  store: (address: Code, value: Code, offset = 0): Code => [...address, ...value, 0xfd, 0x0b, 0, ...unsigned(offset)],
  zero: [0xfd, 0x0c, ...Array<number>(16).fill(0)] as Code,
  shuffle: (a: Code, b: Code, bytes: readonly number[]): Code => [...a, ...b, 0xfd, 0x0d, ...bytes],
  /** The first eight bytes; the others are 0. */
  loadDouble: load(0xfd, 0x5d),
  /** The four bytes of a lane. */
  storeLane: (address: Code, value: Code, lane: number): Code => [...address, ...value, 0xfd, 0x5a, 0, 0, lane],
  /** The first eight bytes. */
  storeDouble: (address: Code, value: Code): Code => [...address, ...value, 0xfd, 0x5b, 0, 0, 0],
  add: vector(0xe4),
  sub: vector(0xe5),
  mul: vector(0xe6),
  div: vector(0xe7),
  sqrt: vector(0xe3),
  /** Eight of the bytes as i16. */
  wordsOfLowBytes: vector(0x89),
  wordsOfHighBytes: vector(0x8a),
  /** Products of i16, added by pairs to i32. */
  dot: vector(0xba),
  addInts: vector(0xae),
  shiftLeft: vector(0xab),
  /** Keeps the sign. */
  shiftRight: vector(0xac),
  /** Two of i32 to one of i16, and two of i16 to one of bytes, held within their ranges. */
  narrow: vector(0x85),
  narrowBytes: vector(0x66),
};

/** An i32 in all four lanes. */
export function ints(value: number): Code {
  return [0xfd, 0x0c, ...new Uint8Array(Int32Array.of(value, value, value, value).buffer)];
}

export const sequence = (...parts: Code[]): Code => parts.flat();

/** Repeats `body` until the condition, which is asked after it, no longer holds. */
export function doWhile(body: Code, condition: Code): Code {
  return [0x03, NO_RESULT, ...body, ...condition, 0x0d, 0, 0x0b];
}

/** LEB128 of a number from 0. */
export function unsigned(value: number): Code {
  const rest = value >>> 7;
  return rest === 0 ? [value] : [(value & 0x7f) | 0x80, ...unsigned(rest)];
}

/** LEB128 of a number of 32 bits with a sign, which the last byte's bit 6 repeats. */
function signed(value: number): Code {
  const rest = value >> 7;
  const low = value & 0x7f;
  return rest === (low & 0x40 ? -1 : 0) ? [low] : [low | 0x80, ...signed(rest)];
}
