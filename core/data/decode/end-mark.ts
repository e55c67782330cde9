const END_MARK = Uint8Array.of(0xff, 0xd9);

/** Second bytes of markers (ITU-T T.81, table B.1). */
const MARKERS = { frames: [0xc0, 0xc1, 0xc2, 0xc9, 0xca], progressive: [0xc2, 0xca], scan: 0xda, end: 0xd9 };
const COEFFICIENTS = 64; // of a block

/**
 * A JPEG with the mark at its end that it lacks: writers that were cut off leave one away, though all of the picture is there.
 * Whether the last pass is whole shows in decoding, which then has to go without a warning.
 * @returns null where nothing is to be gained: it has the mark, or passes are missing
 */
export function withEndMark(bytes: Uint8Array): Uint8Array | null {
  let frame: { isProgressive: boolean; colours: number } | undefined;
  const passes = new Map<number, Set<number>>();
  for (let at = 2; at + 1 < bytes.length; at++) {
    const marker = bytes[at + 1];
    const isMarker = bytes[at] === 0xff && marker !== 0 && marker !== 0xff && !(marker >= 0xd0 && marker <= 0xd7);
    if (!isMarker) continue; // compressed data, and marks in them
    if (marker === MARKERS.end) return null;
    const length = ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0);
    const content = bytes.subarray(at + 4, at + 2 + length);
    if (MARKERS.frames.includes(marker)) {
      frame ??= { isProgressive: MARKERS.progressive.includes(marker), colours: content[5] ?? 0 };
    }
    if (marker === MARKERS.scan) notePass(content, passes);
    at += 1 + length;
  }
  if (!frame) return null;
  const isWhole = passes.size === frame.colours && [...passes.values()].every(({ size }) => size === COEFFICIENTS);
  return isWhole || !frame.isProgressive ? Buffer.concat([bytes, END_MARK]) : null;
}

/** @param passes the coefficients of each colour that come with their last bit in some pass (chapter G.1.1) */
function notePass(scan: Uint8Array, passes: Map<number, Set<number>>): void {
  const inScan = scan[0] ?? 0;
  const [first = 0, last = 0, bits = 0] = scan.subarray(1 + 2 * inScan);
  if ((bits & 15) !== 0) return; // lower bits are to follow
  for (let index = 0; index < inScan; index++) {
    const colour = scan[1 + 2 * index] ?? 0;
    const found = passes.get(colour) ?? new Set();
    for (let place = first; place <= Math.min(last, COEFFICIENTS - 1); place++) found.add(place);
    passes.set(colour, found);
  }
}
