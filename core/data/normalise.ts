/** Mean and standard deviation of ImageNet's colours, of values from 0 to 1 (the reference's). */
export const MEAN = [0.485, 0.456, 0.406] as const;
export const STD = [0.229, 0.224, 0.225] as const;

/**
 * Brings RGB bytes of equal size, each [S, S, 3], to mean 0 and standard deviation 1 by colour: [B, S, S, 3].
 * @param result where they go; new memory where none of that size is given
 */
export function toNormalised(images: readonly Uint8Array[], result?: Float32Array): Float32Array {
  const values = images[0]?.length ?? 0;
  const length = images.length * values;
  const normalised = result?.length === length ? result : new Float32Array(length);
  tables ??= makeTables();
  for (const [at, image] of images.entries()) {
    const isPaired = values % 6 === 0 && image.byteOffset % 2 === 0 && normalised.byteOffset % 8 === 0;
    const place = normalised.subarray(at * values, (at + 1) * values);
    if (isPaired) lookUpPairs(image, tables.pairs, place);
    else lookUp(image, tables.bytes, place);
  }
  return normalised;
}

/** By colour, or by pair of colours, what each byte or pair of bytes becomes. */
type Tables<T> = readonly [first: T, second: T, third: T];

function lookUp(image: Uint8Array, [red, green, blue]: Tables<Float32Array>, result: Float32Array): void {
  for (let i = 0; i < image.length; i += 3) {
    result[i] = red[image[i]];
    result[i + 1] = green[image[i + 1]];
    result[i + 2] = blue[image[i + 2]];
  }
}

/**
 * The same for two bytes at a time, in a third of the time: two pixels are the pairs red and green, blue and red, green and
 * blue, and the two numbers of a pair are moved as one of twice their size. No machine that Node runs on begins with the
 * larger end. A loop for both kinds of arrays takes a quarter longer.
 */
function lookUpPairs(image: Uint8Array, [first, second, third]: Tables<Float64Array>, result: Float32Array): void {
  const bytes = new Uint16Array(image.buffer, image.byteOffset, image.length / 2);
  const numbers = new Float64Array(result.buffer, result.byteOffset, result.length / 2);
  for (let i = 0; i < bytes.length; i += 3) {
    numbers[i] = first[bytes[i]];
    numbers[i + 1] = second[bytes[i + 1]];
    numbers[i + 2] = third[bytes[i + 2]];
  }
}

let tables: ReturnType<typeof makeTables> | undefined;

function makeTables(): { bytes: Tables<Float32Array>; pairs: Tables<Float64Array> } {
  const [red, green, blue] = MEAN.map((mean, colour) =>
    Float32Array.from({ length: 256 }, (_, value) => (value / 255 - mean) / STD[colour]),
  );
  return { bytes: [red, green, blue], pairs: [pairsOf(red, green), pairsOf(blue, red), pairsOf(green, blue)] };
}

/** The two numbers of every pair of bytes, side by side; the first byte is the lower one. */
function pairsOf(first: Float32Array, second: Float32Array): Float64Array {
  const numbers = new Float32Array(2 * 65536);
  for (let pair = 0; pair < 65536; pair++) {
    numbers[2 * pair] = first[pair & 255];
    numbers[2 * pair + 1] = second[pair >> 8];
  }
  return new Float64Array(numbers.buffer);
}
