import type { Finding, Monitor, Plugin, Seen } from '../../core/plugin.js';

/** A fall below this part of the best value so far is reported; it is over above `RECOVERED`. */
const FALLEN = 0.6;
const RECOVERED = 0.8;

/** What is remembered from one look to the next: the best spread so far, and whether a fall was reported. */
export interface CollapseMemory {
  best: { deviation: number; rank: number };
  warned: boolean;
}

/**
 * Compares a look with those before. The loss alone does not tell a collapse: it falls during one, and may rise in a
 * healthy run.
 * @returns what to remember, and a message when the spread has fallen or has come back
 */
export function judgeSpread(
  { step, deviation, rank }: Pick<Seen, 'step' | 'deviation' | 'rank'>,
  memory: CollapseMemory | null,
): Finding<CollapseMemory> {
  if (!memory) return { memory: { best: { deviation, rank }, warned: false } };
  const best = { deviation: Math.max(memory.best.deviation, deviation), rank: Math.max(memory.best.rank, rank) };
  const part = Math.min(deviation / best.deviation, rank / best.rank);
  const values = `effective rank ${rank.toFixed(1)} (best so far ${best.rank.toFixed(1)}), standard deviation ${deviation.toFixed(3)} (best ${best.deviation.toFixed(3)})`;
  if (!memory.warned && part < FALLEN) {
    const message =
      `step ${step}: the representations are collapsing, pictures look more and more alike to the model: ${values}. ` +
      'The loss does not show this. What helps: --regularizer vicreg, a slower target (--ema nearer 1), more data';
    return { memory: { best, warned: true }, message };
  }
  if (memory.warned && part > RECOVERED) {
    return { memory: { best, warned: false }, message: `step ${step}: the representations have recovered: ${values}` };
  }
  return { memory: { best, warned: memory.warned } };
}

/** The spread itself is in every run's log; this one says when it falls. */
const collapse: Monitor<CollapseMemory> = {
  name: 'collapse',
  summary: 'says when representations collapse, and when they have recovered',
  values: [],
  start: () => ({ look: judgeSpread }),
};

const plugin = {
  name: 'collapse',
  summary: 'Watches for a collapse of representations',
  monitors: [collapse],
} satisfies Plugin;

export default plugin;
