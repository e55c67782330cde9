import { UserError } from '../errors.js';

/** What engines say when memory runs out. */
const SYMPTOMS =
  /out of memory|\bOOM\b|cannot enlarge memory|memory access out of bounds|allocation failed|failed to allocate|ResourceExhausted/i;

/**
 * The message for the user where an error means that memory ran out; undefined for every other error.
 */
export function outOfMemory(
  error: unknown,
  options: { batchSize: number; microBatchSize: number | null },
): UserError | undefined {
  if (!(error instanceof Error) || !SYMPTOMS.test(error.message)) return undefined;
  const together = Math.min(options.microBatchSize ?? options.batchSize, options.batchSize);
  return new UserError(
    `the engine ran out of memory with ${together} images at once`,
    {
      expected: 'a step that fits into memory',
      remedy:
        together > 1
          ? `use --micro-batch-size ${Math.ceil(together / 2)}: the same step, computed in parts; or a smaller model or image size`
          : 'use a smaller --arch, a smaller --image-size or a larger --patch-size',
    },
    { cause: error },
  );
}
