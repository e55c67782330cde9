import { z } from 'zod';
import { describeExtension, reasonInPlugin } from '../contract/extension.js';
import type { Monitor, MonitorInput, MonitorReport, RunFacts, Verdict } from '../contract/monitors.js';
import type { Extension } from '../plugins/plugin.js';

const verdictSchema: z.ZodType<Verdict> = z.object({ isWell: z.boolean(), text: z.string() });
export const verdictsSchema = z.record(z.string(), verdictSchema);

/** The last verdicts of those monitors that give some, by their names. */
export type Verdicts = Readonly<Record<string, Verdict>>;

const reportSchema = z.object({
  values: z.record(z.string(), z.number()).optional(),
  message: z.string().optional(),
  verdict: verdictSchema.optional(),
  memory: z.unknown().optional(),
});

/**
 * Lets the monitors of a run observe it. One that fails is named once, and the run goes on: its values are empty, and
 * what it remembers stays as it was.
 */
export class Monitors {
  readonly #monitors: { extension: Extension<'monitor'>; started: ReturnType<Monitor['start']> | null }[];
  readonly #reported = new Set<string>();
  /** What monitors remember from one observation to the next, by their names. */
  readonly memories: Record<string, unknown>;
  readonly verdicts: Record<string, Verdict>;

  /**
   * @param remembered what a checkpoint holds; empty in a new run
   * @param report takes what people should read
   */
  constructor(
    monitors: readonly Extension<'monitor'>[],
    run: RunFacts,
    remembered: { monitors: Readonly<Record<string, unknown>>; verdicts: Verdicts },
    private readonly report: (message: string) => void,
  ) {
    this.memories = { ...remembered.monitors };
    const names = monitors.map(({ item }) => item.name); // others may have observed before
    this.verdicts = Object.fromEntries(Object.entries(remembered.verdicts).filter(([name]) => names.includes(name)));
    this.#monitors = monitors.map((extension) => {
      try {
        return { extension, started: extension.item.start(run) };
      } catch (error) {
        this.#reportFailure(extension, error);
        return { extension, started: null };
      }
    });
  }

  /** Lets every monitor observe, reports what they say, and gives their values by name; null for those that are missing. */
  async observe(input: MonitorInput) {
    const values: Record<string, Record<string, number | null>> = {};
    for (const { extension, started } of this.#monitors) {
      const { name, values: names } = extension.item;
      let found: MonitorReport['values'];
      try {
        // Copies: no monitor changes what others see, or what it remembers, but by what it returns.
        const [own, memory] = [{ ...input, features: input.features.slice() }, structuredClone(this.memories[name])];
        const report = started ? checkedReport(extension.item, await started.observe(own, memory ?? null)) : {};
        // As it comes back from a checkpoint, so that interrupted runs and others remember the same.
        if (report.memory !== undefined) this.memories[name] = JSON.parse(JSON.stringify(report.memory));
        if (report.verdict) this.verdicts[name] = report.verdict;
        if (report.message) this.report(report.message);
        found = report.values;
      } catch (error) {
        this.#reportFailure(extension, error);
      }
      if (names.length > 0) values[name] = Object.fromEntries(names.map((value) => [value, found?.[value] ?? null]));
    }
    return values;
  }

  #reportFailure(extension: Extension<'monitor'>, error: unknown): void {
    if (this.#reported.has(extension.item.name)) return;
    this.#reported.add(extension.item.name);
    this.report(
      `${describeExtension(extension)} failed: ${reasonInPlugin(error)}; the run goes on, and this is not told again`,
    );
  }
}

/**
 * What a monitor reports, where it is as the contract of plugins says.
 * @throws Error that says what is wrong with it
 */
export function checkedReport({ values }: Monitor, report: unknown): MonitorReport {
  const result = reportSchema.safeParse(report);
  if (!result.success) {
    const [issue] = result.error.issues;
    throw new Error(`its report is not as it should be: ${issue?.path.join('.') || 'the whole'}: ${issue?.message}`);
  }
  const { values: given = {}, ...said } = result.data;
  const unknown = Object.keys(given).find((name) => !values.includes(name));
  if (unknown !== undefined) {
    throw new Error(`its value '${unknown}' is none of those that it names: ${values.join(', ')}`);
  }
  return { values: given, ...said } as MonitorReport;
}
