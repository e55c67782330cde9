import { z } from 'zod';
import type { Verdict } from '../plugin.js';
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
  verdicts: Verdicts;
}

/** The last verdicts of those monitors that give some, by their names. */
export type Verdicts = Readonly<Record<string, Verdict>>;

export const verdictSchema: z.ZodType<Verdict> = z.object({ isWell: z.boolean(), text: z.string() });
export const verdictsSchema = z.record(z.string(), verdictSchema);

const spreadSchema = z.object({ deviation: z.number(), rank: z.number() });

export const watchMemorySchema: z.ZodType<WatchMemory> = z.union([
  z.object({
    first: spreadSchema,
    monitors: z.record(z.string(), z.unknown()),
    verdicts: verdictsSchema.default({}), // which earlier versions did not give
  }),
  // Checkpoints from before there were monitors: what the one for collapses remembered stood beside the first spread.
  z
    .object({ first: spreadSchema, best: spreadSchema, warned: z.boolean() })
    .transform(({ first, ...collapse }) => ({ first, monitors: { collapse }, verdicts: {} })),
]);
