/** Bands of a TIFF of floating-point numbers: colours (1 for grey, 3 for RGB), and whether transparency lies behind them. */
export type FloatBands = { colours: number; alpha: boolean };

/** Tags (TIFF 6.0) that tell of bands. */
const TAGS = { bits: 258, compression: 259, colours: 262, bands: 277, extra: 338, sample: 339, subsampling: 530 };
/** Bands of colour by PhotometricInterpretation. */
const COLOURS: Readonly<Record<number, number>> = { 0: 1, 1: 1, 2: 3, 3: 1, 5: 4, 6: 3, 8: 3 };
const YCBCR = 6;
/** JPEG inside a TIFF, which libtiff turns into RGB. */
const JPEG = [6, 7];
/** Bytes of a value by its type: 16-bit and 32-bit whole numbers. */
const WIDTHS: Readonly<Record<number, number>> = { 3: 2, 4: 4 };
/** Values of a tag that are looked at. */
const MAX_VALUES = 16;

/**
 * What the bands of a TIFF's first picture are: `usual` as libvips takes them, `undeclared` where there are others beside
 * the colours that are not declared as transparency (infrared, masks).
 * @throws Error that names samples which are neither whole numbers of 1 to 16 bits nor floating-point numbers
 */
export function bandsOf(bytes: Uint8Array): 'usual' | 'undeclared' | FloatBands {
  const tags = readTags(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length));
  const first = (tag: keyof typeof TAGS, missing: number) => tags.get(TAGS[tag])?.[0] ?? missing;
  const [bits, sample, photometric] = [first('bits', 1), first('sample', 1), first('colours', 1)];
  if (sample === 2) throw new Error(`its samples are numbers of ${bits} bits with a sign, not 8 or 16 bits without`);
  if (sample === 5 || sample === 6) throw new Error('its samples are complex numbers, not 8 or 16 bits');
  if (sample !== 3 && bits > 16) throw new Error(`its samples are whole numbers of ${bits} bits, not 8 or 16`);
  if (photometric === YCBCR && !JPEG.includes(first('compression', 1)) && first('subsampling', 2) === 1) {
    throw new Error('its colours are YCbCr that is not compressed as JPEG, not RGB');
  }
  const bands = first('bands', 1);
  const colours = Math.min(COLOURS[photometric] ?? bands, bands);
  const extra = tags.get(TAGS.extra) ?? [];
  const isDeclared = bands === colours + 1 && (extra[0] === 1 || extra[0] === 2);
  if (sample === 3) return { colours, alpha: isDeclared };
  return bands === colours || isDeclared ? 'usual' : 'undeclared';
}

/** The first values of whole-number tags of the first directory; those that are damaged are left out. */
function readTags(file: Buffer): Map<number, number[]> {
  const isLittle = file[0] === 0x49;
  const isBig = file[isLittle ? 2 : 3] === 43; // BigTIFF
  const number = (at: number, width: number): number => {
    if (width === 8) return number(at + (isLittle ? 4 : 0), 4) * 2 ** 32 + number(at + (isLittle ? 0 : 4), 4);
    return isLittle ? file.readUIntLE(at, width) : file.readUIntBE(at, width);
  };
  const [countWidth, entryWidth, offsetWidth] = isBig ? [8, 20, 8] : [2, 12, 4];
  const tags = new Map<number, number[]>();
  try {
    const directory = number(isBig ? 8 : 4, offsetWidth);
    const entries = number(directory, countWidth);
    for (let entry = 0; entry < entries; entry++) {
      const at = directory + countWidth + entry * entryWidth;
      const width = WIDTHS[number(at + 2, 2)];
      if (width === undefined) continue;
      const count = number(at + 4, offsetWidth);
      const values = at + 4 + offsetWidth;
      const from = count * width <= offsetWidth ? values : number(values, offsetWidth);
      const length = Math.min(count, MAX_VALUES);
      const found = Array.from({ length }, (_, index) => number(from + index * width, width));
      tags.set(number(at, 2), found);
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error; // beyond the end: the decoder says what is wrong with such a file
  }
  return tags;
}
