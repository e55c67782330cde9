import { UserError } from '../base/errors.js';

/** What engines, and the system, say when memory runs out. */
const SYMPTOMS =
  /out of memory|OUT_OF_(?:DEVICE_|HOST_)?MEMORY|\bOOM\b|cannot (?:enlarge|allocate) memory|memory access out of bounds|allocation failed|failed to allocate|bad_alloc|bad allocation|ResourceExhausted|ENOMEM/i;

/**
 * The message for the user where an error means that memory ran out; undefined for every other error.
 * @param atOnce images computed at once, the option that says how many, and what helps where it is one already
 */
export function outOfMemory(
  error: unknown,
  atOnce: { images: number; flag: '--micro-batch-size' | '--batch-size'; otherwise: string },
): UserError | undefined {
  const { images, flag, otherwise } = atOnce;
  if (!(error instanceof Error) || !saysOutOfMemory(error.message)) return undefined;
  const half = Math.ceil(images / 2);
  return new UserError(
    `the engine ran out of memory with ${images} image${images === 1 ? '' : 's'} at once`,
    {
      expected: 'computing that fits into memory',
      remedy:
        images > 1
          ? `use ${flag} ${half}, which gives the same result in smaller parts; or ${otherwise}`
          : `use ${otherwise}`,
    },
    { cause: error },
  );
}

/** The same of a network whose features are computed. */
export function outOfMemoryForFeatures(error: unknown, images: number): UserError | undefined {
  return outOfMemory(error, {
    images,
    flag: '--batch-size',
    otherwise: 'a smaller --image-size, or a machine with more memory',
  });
}

export function saysOutOfMemory(reason: string): boolean {
  return SYMPTOMS.test(reason);
}
