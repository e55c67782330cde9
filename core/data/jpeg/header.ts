/** What decodes a component of a JPEG: Y, Cb or Cr. */
export interface JpegComponent {
  /** [64] factors in zigzag order. */
  quantisation: Uint8Array;
  dcTable: HuffmanTable;
  acTable: HuffmanTable;
}

export interface HuffmanTable {
  /** How many codes there are of each length from 1 to 16. */
  counts: Uint8Array;
  symbols: Uint8Array;
}

/** What the planes of a JPEG look like. */
export interface JpegShape {
  /** In pixels, as stored. */
  width: number;
  height: number;
  /** Blocks of Y that an MCU has, across and down; it has one of each colour. */
  across: number;
  down: number;
  /** EXIF's: 1 upright, 2 to 8 flipped or turned. */
  orientation: number;
}

/** The header of a JPEG of the usual kind. */
export interface JpegHeader extends JpegShape {
  components: readonly [JpegComponent, JpegComponent, JpegComponent];
  /** MCUs between two restart markers; 0 for none. */
  restartInterval: number;
  /** Where the compressed data begin. */
  scanStart: number;
}

const MARKER = { sof0: 0xc0, sof1: 0xc1, dht: 0xc4, sos: 0xda, dqt: 0xdb, dri: 0xdd, app0: 0xe0, app1: 0xe1 };
/** Start-of-frame markers of other kinds: progressive, arithmetic, lossless. */
const OTHER_FRAMES = [0xc2, 0xc3, 0xc5, 0xc6, 0xc7, 0xc9, 0xca, 0xcb, 0xcd, 0xce, 0xcf];
const APP2 = 0xe2;
const APP14 = 0xee;

/**
 * Reads the header of a JPEG of the usual kind: baseline, three components in one scan, YCbCr without a colour profile
 * other than sRGB, colours at full, half or quarter resolution. Gives null for every other file, be it of another kind or damaged; those
 * are left to sharp, which reads more and explains what is wrong.
 */
export function readJpegHeader(bytes: Uint8Array): JpegHeader | null {
  if (bytes[0] !== 0xff || bytes[1] !== 0xd8) return null;
  const quantisations = new Map<number, Uint8Array>();
  const tables = new Map<number, HuffmanTable>();
  let frame: Frame | null = null;
  let orientation = 1;
  let restartInterval = 0;
  let at = 2;
  while (at + 4 <= bytes.length) {
    if (bytes[at] !== 0xff) return null;
    const marker = bytes[at + 1] as number;
    if (marker === 0xff) {
      at++; // a fill byte
      continue;
    }
    const end = at + 2 + word(bytes, at + 2);
    if (end > bytes.length || end < at + 4) return null;
    const segment = bytes.subarray(at + 4, end);
    if (OTHER_FRAMES.includes(marker)) return null;
    if (marker === MARKER.dqt && !readQuantisations(segment, quantisations)) return null;
    if (marker === MARKER.dht && !readTables(segment, tables)) return null;
    if (marker === MARKER.sof0 || marker === MARKER.sof1) {
      frame = frame ? null : readFrame(segment);
      if (!frame) return null;
    }
    if (marker === MARKER.dri) restartInterval = word(segment, 0);
    if (marker === MARKER.app1 && startsWith(segment, 'Exif\0\0')) {
      orientation = readOrientation(segment.subarray(6));
    }
    if (marker === APP2 && startsWith(segment, 'ICC_PROFILE\0') && !isSrgb(segment.subarray(12))) return null;
    if (marker === APP14 && startsWith(segment, 'Adobe') && segment[11] !== 1) return null;
    if (marker === MARKER.sos) {
      const components = frame && joinScan(segment, frame, quantisations, tables);
      if (!frame || !components) return null;
      const { width, height, across, down } = frame;
      return { width, height, across, down, orientation, components, restartInterval, scanStart: end };
    }
    at = end;
  }
  return null;
}

export function shapeOf({ width, height, across, down, orientation }: JpegShape): JpegShape {
  return { width, height, across, down, orientation };
}

interface Frame {
  width: number;
  height: number;
  across: number;
  down: number;
  parts: { id: number; quantisation: number }[];
}

function readFrame(segment: Uint8Array): Frame | null {
  if (segment.length < 15 || segment[0] !== 8 || segment[5] !== 3) return null;
  const [height, width] = [word(segment, 1), word(segment, 3)];
  const [luma, ...colours] = [7, 10, 13].map((at) => segment[at] as number) as [number, number, number];
  const [across, down] = [luma >> 4, luma & 15];
  const parts = [6, 9, 12].map((at) => ({ id: segment[at] as number, quantisation: segment[at + 2] as number }));
  const isUsual = [1, 2].includes(across) && [1, 2].includes(down) && colours.every((sampling) => sampling === 0x11);
  // The letter as a name says that the components are red, green and blue; decoders go by that.
  return isUsual && width > 0 && height > 0 && parts[0]?.id !== 'R'.charCodeAt(0)
    ? { width, height, across, down, parts }
    : null;
}

function readQuantisations(segment: Uint8Array, found: Map<number, Uint8Array>): boolean {
  for (let at = 0; at < segment.length; at += 65) {
    const head = segment[at] as number;
    if (head > 3 || at + 65 > segment.length) return false; // factors of 16 bits, or damaged
    found.set(head, segment.subarray(at + 1, at + 65));
  }
  return true;
}

function readTables(segment: Uint8Array, found: Map<number, HuffmanTable>): boolean {
  for (let at = 0; at < segment.length; ) {
    const counts = segment.subarray(at + 1, at + 17);
    const total = counts.reduce((sum, count) => sum + count, 0);
    const end = at + 17 + total;
    if (end > segment.length || total > 256 || !isPrefixCode(counts)) return false;
    found.set(segment[at] as number, { counts, symbols: segment.subarray(at + 17, end) });
    at = end;
  }
  return true;
}

/** Whether there can be so many codes of each length, none being the start of another. */
function isPrefixCode(counts: Uint8Array): boolean {
  let free = 1;
  for (const count of counts) {
    free = 2 * free - count;
    if (free < 0) return false;
  }
  return true;
}

function joinScan(
  segment: Uint8Array,
  { parts }: Frame,
  quantisations: Map<number, Uint8Array>,
  tables: Map<number, HuffmanTable>,
): JpegHeader['components'] | null {
  if (segment[0] !== 3 || segment.length < 10) return null;
  const joined: JpegComponent[] = [];
  for (const [index, { id, quantisation: number }] of parts.entries()) {
    if (segment[1 + 2 * index] !== id) return null;
    const chosen = segment[2 + 2 * index] as number;
    const quantisation = quantisations.get(number);
    const dcTable = tables.get(chosen >> 4);
    const acTable = tables.get(0x10 | (chosen & 15));
    if (!quantisation || !dcTable || !acTable) return null;
    joined.push({ quantisation, dcTable, acTable });
  }
  return joined as [JpegComponent, JpegComponent, JpegComponent];
}

/** EXIF's orientation; 1 where there is none. */
function readOrientation(tiff: Uint8Array): number {
  const view = new DataView(tiff.buffer, tiff.byteOffset, tiff.byteLength);
  if (tiff.length < 8) return 1;
  const little = tiff[0] === 0x49;
  const directory = view.getUint32(4, little);
  if (directory + 2 > tiff.length) return 1;
  const entries = view.getUint16(directory, little);
  for (let entry = 0; entry < entries; entry++) {
    const at = directory + 2 + 12 * entry;
    if (at + 12 > tiff.length) return 1;
    if (view.getUint16(at, little) !== 0x0112) continue;
    const value = view.getUint16(at + 8, little);
    return value >= 1 && value <= 8 ? value : 1;
  }
  return 1;
}

/**
 * Whether a colour profile calls itself sRGB, in the text of its tag `desc`: what browsers, cameras and editors write most.
 * @param part the number of this part of the profile, the number of parts, and the part itself
 */
function isSrgb(part: Uint8Array): boolean {
  if (part[0] !== 1 || part[1] !== 1) return false;
  const profile = Buffer.from(part.buffer, part.byteOffset + 2, part.length - 2);
  const tags = profile.length >= 132 ? profile.readUInt32BE(128) : 0;
  for (let tag = 0; tag < tags && 144 + 12 * tag <= profile.length; tag++) {
    const at = 132 + 12 * tag;
    if (profile.toString('latin1', at, at + 4) !== 'desc') continue;
    const [start, size] = [profile.readUInt32BE(at + 4), profile.readUInt32BE(at + 8)];
    // In letters of one or two bytes
    return profile
      .toString('latin1', start, start + size)
      .replaceAll('\0', '')
      .includes('sRGB');
  }
  return false;
}

function word(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
}

function startsWith(bytes: Uint8Array, text: string): boolean {
  return [...text].every((letter, at) => bytes[at] === letter.charCodeAt(0));
}
