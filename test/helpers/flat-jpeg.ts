/** A JPEG whose blocks are each of one colour, with the features that sharp's encoder does not write. */
export interface FlatJpeg {
  width: number;
  height: number;
  /** Blocks of Y in an MCU, across and down. */
  across: number;
  down: number;
  /** MCUs between restart markers; 0 for none. */
  restartInterval: number;
}

/** Encodes differences of DC coefficients by a code of 4 bits for each of the lengths 0 to 11; every AC coefficient is 0. */
export function flatJpeg({ width, height, across, down, restartInterval }: FlatJpeg): Buffer {
  const segment = (marker: number, content: number[]) => [0xff, marker, ...word(content.length + 2), ...content];
  const dcLengths = [...Array(3).fill(0), 12, ...Array(12).fill(0)];
  const acLengths = [1, ...Array(15).fill(0)]; // the end of the block is the code 0
  return Buffer.from([
    ...[0xff, 0xd8],
    ...segment(0xdb, [0, ...Array(64).fill(8)]),
    ...segment(0xc0, [8, ...word(height), ...word(width), 3, 1, (across << 4) | down, 0, 2, 0x11, 0, 3, 0x11, 0]),
    ...segment(0xc4, [0x00, ...dcLengths, ...Array.from({ length: 12 }, (_, length) => length)]),
    ...segment(0xc4, [0x10, ...acLengths, 0]),
    ...(restartInterval > 0 ? segment(0xdd, word(restartInterval)) : []),
    ...segment(0xda, [3, 1, 0, 2, 0, 3, 0, 0, 63, 0]),
    ...scan({ width, height, across, down, restartInterval }),
    ...[0xff, 0xd9],
  ]);
}

function scan({ width, height, across, down, restartInterval }: FlatJpeg): number[] {
  const mcus = Math.ceil(width / (8 * across)) * Math.ceil(height / (8 * down));
  const bytes: number[] = [];
  let bits = '';
  let previous = [0, 0, 0];
  const flush = () => {
    bits += '1'.repeat((8 - (bits.length % 8)) % 8);
    for (let at = 0; at < bits.length; at += 8) {
      const byte = Number.parseInt(bits.slice(at, at + 8), 2);
      bytes.push(byte, ...(byte === 0xff ? [0] : []));
    }
    bits = '';
  };
  for (let mcu = 0; mcu < mcus; mcu++) {
    if (restartInterval > 0 && mcu > 0 && mcu % restartInterval === 0) {
      flush();
      bytes.push(0xff, 0xd0 + ((mcu / restartInterval - 1) % 8));
      previous = [0, 0, 0];
    }
    for (const [component, blocks] of [across * down, 1, 1].entries()) {
      for (let block = 0; block < blocks; block++) {
        const value = Math.round(50 * Math.sin(1 + mcu * (component + 1) + block)); // of at most +-50 in pixels
        bits += codeOf(value - (previous[component] as number));
        previous[component] = value;
      }
    }
  }
  flush();
  return bytes;
}

/** A difference and the end of its block. */
function codeOf(difference: number): string {
  const length = difference === 0 ? 0 : Math.floor(Math.log2(Math.abs(difference))) + 1;
  const value = difference >= 0 ? difference : difference + 2 ** length - 1;
  return `${length.toString(2).padStart(4, '0') + (length > 0 ? value.toString(2).padStart(length, '0') : '')}0`;
}

function word(value: number): number[] {
  return [value >> 8, value & 255];
}
