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

function normaliseInto(images: readonly Uint8Array[], result: Float32Array): Float32Array {
  const values = images[0]?.length ?? 0;
  const tables = MEAN.map((mean, colour) =>
    Float32Array.from({ length: 256 }, (_, value) => (value / 255 - mean) / (DEVIATION[colour] as number)),
  ) as [Float32Array, Float32Array, Float32Array];
  const [red, green, blue] = tables;
  images.forEach((image, at) => {
    const start = at * values;
    for (let i = 0; i < values; i += 3) {
      result[start + i] = red[image[i] as number] as number;
      result[start + i + 1] = green[image[i + 1] as number] as number;
      result[start + i + 2] = blue[image[i + 2] as number] as number;
    }
  });
  return result;
}
