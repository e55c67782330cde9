import { z } from 'zod';
import type { Finding, Monitor, RunFacts, Seen, Verdict } from '../plugin.js';
import { type Brought, describeBrought, reasonInPlugin } from '../plugins/brought.js';
import { type Verdicts, verdictSchema, type WatchMemory } from './watch-memory.js';

/** What monitors remember from one look to the next, by their names. */
export type Memories = Readonly<Record<string, unknown>>;
/** The values of a look, by the names of monitors and of their values; null where one gave none. */
export type MonitorValues = Readonly<Record<string, Readonly<Record<string, number | null>>>>;

const findingSchema = z.object({
  values: z.record(z.string(), z.number()).optional(),
  message: z.string().optional(),
  verdict: verdictSchema.optional(),
  memory: z.unknown().optional(),
});

/**
 * Asks the monitors of a run what they see. One that fails is named once, and the run goes on: its values are empty, and
 * what it remembers stays as it was.
 */
export class Monitors {
  readonly #monitors: { brought: Brought<'monitor'>; started: ReturnType<Monitor['start']> | null }[];
  readonly #reported = new Set<string>();
  readonly #memories: Record<string, unknown>;
  readonly #verdicts: Record<string, Verdict>;

  /**
   * @param remembered what a checkpoint holds; empty in a new run
   * @param report takes what people should read
   */
  constructor(
    monitors: readonly Brought<'monitor'>[],
    run: RunFacts,
    remembered: Pick<WatchMemory, 'monitors' | 'verdicts'>,
    private readonly report: (message: string) => void,
  ) {
    this.#memories = { ...remembered.monitors };
    const names = monitors.map(({ item }) => item.name); // others may have looked before
    this.#verdicts = Object.fromEntries(Object.entries(remembered.verdicts).filter(([name]) => names.includes(name)));
    this.#monitors = monitors.map((brought) => {
      try {
        return { brought, started: brought.item.start(run) };
      } catch (error) {
        this.#reportFailure(brought, error);
        return { brought, started: null };
      }
    });
  }

  get memories(): Memories {
    return this.#memories;
  }

  get verdicts(): Verdicts {
    return this.#verdicts;
  }

  /** Lets every monitor look, reports what they say, and gives their values. */
  async look(seen: Seen): Promise<MonitorValues> {
    const values: Record<string, Record<string, number | null>> = {};
    for (const { brought, started } of this.#monitors) {
      const { name, values: names } = brought.item;
      let found: Finding['values'];
      try {
        // Copies: no monitor changes what others see, or what it remembers, but by what it returns.
        const [own, memory] = [{ ...seen, features: seen.features.slice() }, structuredClone(this.#memories[name])];
        const finding = started ? checkedFinding(brought.item, await started.look(own, memory ?? null)) : {};
        // As it comes back from a checkpoint, so that interrupted runs and others remember the same.
        if (finding.memory !== undefined) this.#memories[name] = JSON.parse(JSON.stringify(finding.memory));
        if (finding.verdict) this.#verdicts[name] = finding.verdict;
        if (finding.message) this.report(finding.message);
        found = finding.values;
      } catch (error) {
        this.#reportFailure(brought, error);
      }
      if (names.length > 0) values[name] = Object.fromEntries(names.map((value) => [value, found?.[value] ?? null]));
    }
    return values;
  }

  #reportFailure(brought: Brought<'monitor'>, error: unknown): void {
    if (this.#reported.has(brought.item.name)) return;
    this.#reported.add(brought.item.name);
    this.report(
      `${describeBrought(brought)} failed: ${reasonInPlugin(error)}; the run goes on, and this is not told again`,
    );
  }
}

/**
 * What a monitor found, where it is as the contract of plugins says.
 * @throws Error that says what is wrong with it
 */
export function checkedFinding({ values }: Monitor, finding: unknown): Finding {
  const result = findingSchema.safeParse(finding);
  if (!result.success) {
    const [issue] = result.error.issues;
    throw new Error(`its finding is not as it should be: ${issue?.path.join('.') || 'the whole'}: ${issue?.message}`);
  }
  const { memory, message, verdict, values: given = {} } = result.data;
  const unknown = Object.keys(given).find((name) => !values.includes(name));
  if (unknown !== undefined)
    throw new Error(`its value '${unknown}' is none of those that it names: ${values.join(', ')}`);
  return {
    values: given,
    ...(message !== undefined && { message }),
    ...(verdict !== undefined && { verdict }),
    ...(memory !== undefined && { memory }),
  };
}
