/** Mean and standard deviation of ImageNet's colours, of values from 0 to 1 (the reference's). */
export const MEAN = [0.485, 0.456, 0.406] as const;
export const DEVIATION = [0.229, 0.224, 0.225] as const;

/**
 * Brings RGB bytes of equal size, each [S, S, 3], to mean 0 and deviation 1 by colour: [B, S, S, 3].
 * @param result where they go; new memory where none of that size is given
 */
export function toNormalised(images: readonly Uint8Array[], result?: Float32Array): Float32Array {
  const length = images.length * (images[0]?.length ?? 0);
  return normaliseInto(images, result?.length === length ? result : new Float32Array(length));
}

/** By colour, what each byte becomes. */
type Tables = readonly [Float32Array, Float32Array, Float32Array];

function normaliseInto(images: readonly Uint8Array[], result: Float32Array): Float32Array {
  const values = images[0]?.length ?? 0;
  const tables: Tables = [tableOf(0), tableOf(1), tableOf(2)];
  images.forEach((image, at) => {
    lookUp(image, tables, result.subarray(at * values, (at + 1) * values));
  });
  return result;
}

function tableOf(colour: 0 | 1 | 2): Float32Array {
  return Float32Array.from({ length: 256 }, (_, value) => (value / 255 - MEAN[colour]) / DEVIATION[colour]);
}

/** A loop that engines of JavaScript compile well: it counts from 0, in arrays of its own. */
function lookUp(image: Uint8Array, [red, green, blue]: Tables, result: Float32Array): void {
  for (let i = 0; i < image.length; i += 3) {
    result[i] = red[image[i] as number] as number;
    result[i + 1] = green[image[i + 1] as number] as number;
    result[i + 2] = blue[image[i + 2] as number] as number;
  }
}
