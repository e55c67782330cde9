import { z } from 'zod';

/** How much the representations of different images differ. */
export interface Spread {
  /** Mean over features of the standard deviation over images. */
  deviation: number;
  /** RankMe: the effective number of directions, from 1 to the number of images. */
  rank: number;
}

const spreadSchema = z.object({ deviation: z.number(), rank: z.number() });

/** What the watch remembers from one look to the next: the first and the best spread, and whether it has warned. */
export const watchMemorySchema = z.object({ first: spreadSchema, best: spreadSchema, warned: z.boolean() });
export type WatchMemory = z.infer<typeof watchMemorySchema>;
