const END_MARK = Uint8Array.of(0xff, 0xd9);

/** Second bytes of markers (ITU-T T.81, table B.1). */
const MARKERS = { frames: [0xc0, 0xc1, 0xc2, 0xc9, 0xca], progressive: [0xc2, 0xca], scan: 0xda, end: 0xd9 } as const;
/** Coefficients of a block. */
const COEFFICIENTS = 64;

/**
 * A JPEG with the mark at its end that it lacks: writers that were cut off leave one away, though all of the picture is there.
 * Whether the last pass is whole shows in decoding, which then has to go without a warning.
 * @returns null where nothing is to be gained: it has the mark, or passes are missing
 */
export function withEndMark(bytes: Uint8Array): Uint8Array | null {
  const segments = [...segmentsOf(bytes)];
  if (segments.some(({ marker }) => marker === MARKERS.end)) return null;
  return hasAllPasses(segments) ? Buffer.concat([bytes, END_MARK]) : null;
}

interface Segment {
  marker: number;
  /** Behind its length. */
  content: Uint8Array;
}

/** The segments of a file up to its end or to the first damage; what follows a scan's header is passed over. */
function* segmentsOf(bytes: Uint8Array): Generator<Segment> {
  for (let at = 2; at + 1 < bytes.length; at++) {
    const marker = bytes[at + 1];
    const isMarker = bytes[at] === 0xff && marker !== 0 && marker !== 0xff && !(marker >= 0xd0 && marker <= 0xd7);
    if (!isMarker) continue; // compressed data, and marks in them
    if (marker === MARKERS.end) return yield { marker, content: bytes.subarray(0, 0) };
    const length = ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0);
    yield { marker, content: bytes.subarray(at + 4, at + 2 + length) };
    at += 1 + length;
  }
}

/** Whether every coefficient of every colour comes with its last bit in some pass (chapter G.1.1). */
function hasAllPasses(segments: readonly Segment[]): boolean {
  const frame = segments.find(({ marker }) => MARKERS.frames.some((one) => one === marker));
  if (!frame) return false;
  if (!MARKERS.progressive.some((one) => one === frame.marker)) return true;
  const colours = frame.content[5] ?? 0;
  const whole = new Map<number, Set<number>>();
  for (const { marker, content } of segments) {
    if (marker !== MARKERS.scan) continue;
    const inScan = content[0] ?? 0;
    const [first = 0, last = 0, bits = 0] = content.subarray(1 + 2 * inScan);
    if ((bits & 15) !== 0) continue; // lower bits are to follow
    for (let index = 0; index < inScan; index++) {
      const colour = content[1 + 2 * index] ?? 0;
      const found = whole.get(colour) ?? new Set();
      for (let place = first; place <= Math.min(last, COEFFICIENTS - 1); place++) found.add(place);
      whole.set(colour, found);
    }
  }
  return whole.size === colours && [...whole.values()].every(({ size }) => size === COEFFICIENTS);
}
