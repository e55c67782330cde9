import { z } from 'zod';
import type { Memories } from './monitors.js';

/** How much the representations of different images differ. */
export interface Spread {
  /** Mean over features of the standard deviation over images. */
  deviation: number;
  /** RankMe: the effective number of directions, from 1 to the number of images. */
  rank: number;
}

/** What the watch remembers from one look to the next. */
export interface WatchMemory {
  /** Before the first step. */
  first: Spread;
  monitors: Memories;
}

const spreadSchema = z.object({ deviation: z.number(), rank: z.number() });

export const watchMemorySchema: z.ZodType<WatchMemory> = z.union([
  z.object({ first: spreadSchema, monitors: z.record(z.string(), z.unknown()) }),
  // Checkpoints from before there were monitors: what the one for collapses remembered stood beside the first spread.
  z
    .object({ first: spreadSchema, best: spreadSchema, warned: z.boolean() })
    .transform(({ first, ...collapse }) => ({ first, monitors: { collapse } })),
]);
