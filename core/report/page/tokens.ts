/*
 * Tokens of patches as pages hold them, without a browser.
 */

/** Bytes that were written as base64. */
export function bytesOf(base64: string): Uint8Array {
  const text = atob(base64);
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

/** Signed bytes that were written as base64. */
export function signedBytesOf(base64: string): Int8Array {
  return new Int8Array(bytesOf(base64).buffer);
}

/**
 * Cosine of the angle between one token and all others, x · y / (‖x‖ ‖y‖); 0 for a token of zeros.
 * @param tokens [M, K]
 * @param chosen a row of them
 * @returns [M]
 */
export function similarities(tokens: Int8Array, dimensions: number, chosen: number): Float32Array {
  const query = tokens.subarray(chosen * dimensions, (chosen + 1) * dimensions);
  const found = new Float32Array(tokens.length / dimensions);
  const own = Math.sqrt(dot(query, query));
  for (let row = 0; row < found.length; row++) {
    const key = tokens.subarray(row * dimensions, (row + 1) * dimensions);
    const lengths = own * Math.sqrt(dot(key, key));
    found[row] = lengths === 0 ? 0 : dot(query, key) / lengths;
  }
  return found;
}

function dot(a: Int8Array, b: Int8Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] ?? 0) * (b[i] ?? 0);
  return sum;
}

/** Anchors of a scale that can be read without colour vision: dark blue over grey to yellow, as in cividis. */
const ANCHORS = [
  [0, 32, 77],
  [64, 77, 107],
  [124, 123, 120],
  [188, 175, 111],
  [255, 234, 70],
] as const;

/** A value from 0 to 1 as red, green and blue, each 0..255. */
export function heat(value: number): [number, number, number] {
  const place = Math.max(0, Math.min(1, value)) * (ANCHORS.length - 1);
  const from = Math.min(ANCHORS.length - 2, Math.floor(place));
  const part = place - from;
  const [low = ANCHORS[0], high = ANCHORS[0]] = ANCHORS.slice(from, from + 2);
  const mix = (colour: 0 | 1 | 2) => Math.round(low[colour] + part * (high[colour] - low[colour]));
  return [mix(0), mix(1), mix(2)];
}

/** The patch to which an arrow key leads on a grid of some side; the same one at an edge, and for other keys. */
export function neighbourPatch(patch: number, side: number, key: string): number {
  const [row, column] = [Math.floor(patch / side), patch % side];
  const moves: Readonly<Record<string, readonly [number, number]>> = {
    ArrowLeft: [row, column - 1],
    ArrowRight: [row, column + 1],
    ArrowUp: [row - 1, column],
    ArrowDown: [row + 1, column],
    Home: [row, 0],
    End: [row, side - 1],
  };
  const [toRow, toColumn] = moves[key] ?? [row, column];
  const isInside = toRow >= 0 && toRow < side && toColumn >= 0 && toColumn < side;
  return isInside ? toRow * side + toColumn : patch;
}

/** The patch in the middle of a grid of some side. */
export function middlePatch(side: number): number {
  return Math.floor(side / 2) * side + Math.floor(side / 2);
}
