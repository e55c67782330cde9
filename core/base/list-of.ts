import { z } from 'zod';

/**
 * A list of entries of one form, which complains of its first wrong entry only: zod's own collects every one, and they
 * take a hundred times the room of a file that is wrong throughout.
 */
export function listOf<T>(form: z.ZodType<T>): z.ZodType<T[]> {
  return z.array(z.unknown()).transform((entries, context) => {
    const read: T[] = [];
    for (const [index, entry] of entries.entries()) {
      const { success, data, error } = form.safeParse(entry);
      if (!success) {
        const { message = 'not readable', path = [] } = error.issues[0] ?? {};
        context.addIssue({ code: 'custom', message, path: [index, ...path] });
        return z.NEVER;
      }
      read.push(data);
    }
    return read;
  });
}
