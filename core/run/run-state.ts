import { z } from 'zod';
import { writeFileAtomically } from '../base/atomic.js';
import { PROGRAM } from '../base/program.js';
import { readText } from '../base/text.js';
import { type Verdicts, verdictsSchema } from './monitors.js';

const FORMAT = `${PROGRAM}-run-state-1`;
/** Most bytes of it. */
const LARGEST = 2 ** 20;

const stateSchema = z.object({
  /** What the process that trained last said of itself. One that was killed says `running` for ever. */
  state: z.enum(['running', 'done', 'interrupted', 'failed']),
  /** Why it failed or was interrupted. */
  reason: z.string().nullable(),
  /** Step of the newest checkpoint. */
  savedStep: z.int().min(0),
  /** What monitors make of it, by their names: of the last observation before that step, or before it ended. */
  verdicts: verdictsSchema.default({}),
});

/** What a run's state.json says. */
export type RunState = z.infer<typeof stateSchema>;

/** The content of a state.json. */
export function runStateText(state: RunState): string {
  return `${JSON.stringify({ format: FORMAT, ...state })}\n`;
}

/** Writes a state.json whole or not at all. */
export async function writeRunState(path: string, state: RunState): Promise<void> {
  await writeFileAtomically(path, runStateText(state));
}

/** Writes how a run ended; without verdicts, those that it was saved with stay. */
export async function endRunState(
  path: string,
  state: RunState['state'],
  reason: string | null,
  verdicts?: Verdicts,
): Promise<void> {
  const said = await readRunState(path);
  const savedStep = said?.savedStep ?? 0;
  await writeRunState(path, { state, reason, savedStep, verdicts: verdicts ?? said?.verdicts ?? {} });
}

/** Reads a state.json; null where there is none that can be read, as in runs of earlier versions. */
export async function readRunState(path: string): Promise<RunState | null> {
  try {
    const said: unknown = JSON.parse(await readText(path, LARGEST));
    z.looseObject({ format: z.literal(FORMAT) }).parse(said);
    return stateSchema.parse(said); // without its format
  } catch {
    return null; // runs can do without it
  }
}
