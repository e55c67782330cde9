/** Where things lie in the decoder's memory, in bytes. Planes and compressed data follow after `heap`. */
export const MEMORY = {
  /** [64] of i32: four times the place in a block, row by row, of coefficient k of the zigzag order. */
  zigzag: 0,
  /** [8, 8] of f32: the coefficients of a block, times their factors. */
  block: 512,
  /** [8, 8] of f32: the block after the first pass. */
  rows: 768,
  /** [8, 4] of f32: the left half of the inverse transform of 8 points. */
  cosines: 1024,
  /** The inverse transforms of 1, 2 and 4 points, each [4, 4] of f32, at 64 bytes times their size. */
  smallCosines: 1152,
  /** Three components, `componentBytes` each. */
  components: 1536,
  componentBytes: 64,
  /** Six tables of Huffman codes, `tableBytes` each. */
  tables: 2048,
  tableBytes: 2560,
  /** Factors of three components, [64] of f32 each, in zigzag order. */
  factors: 18432,
  heap: 20480,
} as const;

/** The i32 fields of a component. */
export const COMPONENT = {
  across: 0,
  down: 4,
  dcTable: 8,
  acTable: 12,
  factors: 16,
  /** Address and bytes a row of the plane that is decoded. */
  plane: 20,
  stride: 24,
  /** Points of the inverse transform: the side of what a block becomes. */
  size: 28,
  /** The DC coefficient of the block before. */
  previous: 32,
  /** The blocks that are wanted; the last ones are not included. */
  firstColumn: 36,
  lastColumn: 40,
  firstRow: 44,
  lastRow: 48,
} as const;

/** The parts of a table of Huffman codes. */
export const TABLE = {
  /** [2 ** lookupBits] of u16: length * 256 + symbol of the code that the next bits begin with; 0 for longer codes. */
  lookup: 0,
  lookupBits: 10,
  /** [17] of i32, by length: the end of the codes of this length, as 16 bits with the code in the highest. */
  ends: 2048,
  /** [17] of i32, by length: what is added to a code to get the place of its symbol. */
  offsets: 2120,
  symbols: 2192,
} as const;
