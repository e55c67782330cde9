import type { Monitor, MonitorInput, MonitorReport, Plugin } from '../../core/plugin.js';

/** How much the representations of pictures differ; `extent` is `extentOf` the other two. */
interface Observation {
  std: number;
  rank: number;
  extent: number;
}

/** What is remembered from one observation to the next. */
export interface CollapseMemory {
  /** Before the first step; not there in checkpoints of earlier versions. */
  first?: Observation | undefined;
  /** The largest of each number so far. */
  best: Omit<Observation, 'extent'> & { extent?: number | undefined };
  /** Whether a collapse was reported. */
  warned: boolean;
}

/** Parts of the best below which numbers are those of a collapse; it is over above twice as much. */
const LIMITS = { anyway: 0.1, belowStart: 0.25, onLine: 1 / 3 };
/** Below this rank, features come near to a line: their mean is one direction, and what differs is less than another. */
const LINE = 2;

/** What is remembered after the first observation. */
function startingWith(first: Observation): CollapseMemory {
  return { first, best: first, warned: false };
}

/**
 * How far representations spread: standard deviation times the effective rank beyond the first direction, which is that of
 * their common mean. It is 0 where all pictures are the same to the model.
 *
 * Neither number tells by itself. The deviation shoots up early in many runs that are well and settles at half of that,
 * while the rank grows; random weights can have a high rank, at a small deviation, or a low one.
 */
export function extentOf({ std, rank }: Pick<MonitorInput, 'std' | 'rank'>): number {
  return std * Math.max(0, rank - 1);
}

/**
 * Whether representations have collapsed: they spread less than a tenth of their best, or less than a quarter and less
 * than before training, or they have come to lie on a line.
 * @param start extent before training
 * @param ease 1, or 2 to tell whether a collapse is over
 */
export function hasCollapsed(now: Observation, start: number, best: Observation, ease = 1): boolean {
  const part = best.extent > 0 ? now.extent / best.extent : 1;
  const onLine = now.rank < LINE && now.rank - 1 < ease * LIMITS.onLine * (best.rank - 1);
  return part < ease * LIMITS.anyway || (part < ease * LIMITS.belowStart && now.extent < ease * start) || onLine;
}

/**
 * Compares an observation with those before. The loss alone does not tell a collapse: it falls during one, and may rise in a
 * healthy run.
 * @returns what to remember, a verdict, and a message when representations have collapsed or have recovered
 */
export function judgeSpread(
  { step, std, rank }: Pick<MonitorInput, 'step' | 'std' | 'rank'>,
  memory: CollapseMemory | null,
): MonitorReport<CollapseMemory> {
  const now = { std, rank, extent: extentOf({ std, rank }) };
  if (!memory) return { memory: startingWith(now) };
  const before = { ...memory.best, extent: memory.best.extent ?? extentOf(memory.best) };
  const best = {
    std: Math.max(before.std, std),
    rank: Math.max(before.rank, rank),
    extent: Math.max(before.extent, now.extent),
  };
  const warned = hasCollapsed(now, memory.first?.extent ?? 0, best, memory.warned ? 2 : 1);
  const values = `effective rank ${rank.toFixed(1)} (best so far ${best.rank.toFixed(1)}), standard deviation ${std.toFixed(3)} (best ${best.std.toFixed(3)})`;
  const collapsing =
    `step ${step}: the representations are collapsing, pictures look more and more alike to the model: ${values}. ` +
    'The loss does not show this. What helps: --regularizer vicreg, a slower target (--ema nearer 1), more data';
  const recovered = `step ${step}: the representations have recovered: ${values}`;
  return {
    memory: { ...memory, best, warned },
    ...(warned !== memory.warned && { message: warned ? collapsing : recovered }),
    verdict: { isWell: !warned, text: warned ? collapsedText(now, best, step) : wellText(now, memory.first, step) },
  };
}

function collapsedText(now: Observation, best: Observation, step: number): string {
  return (
    `the representations have collapsed: at step ${step}, pictures look nearly alike to the model, which the loss does ` +
    `not show (effective rank ${now.rank.toFixed(1)}, at best ${best.rank.toFixed(1)}; standard deviation ` +
    `${now.std.toFixed(3)}, at best ${best.std.toFixed(3)})`
  );
}

function wellText(now: Observation, first: Observation | undefined, step: number): string {
  const none = 'the representations have not collapsed';
  if (!first || first.extent === 0) return `${none} at step ${step}`;
  const times = now.extent / first.extent;
  return times > 1
    ? `${none}: at step ${step}, pictures differ ${times.toFixed(times < 10 ? 1 : 0)} times as much to the model as before training`
    : `${none}, but at step ${step} pictures differ no more to the model than before training`;
}

/**
 * The same for a method whose targets are fixed. A spread far below that before training is no collapse there: linear heads
 * may do better on it.
 */
export function describeSpread(
  { step, std, rank }: Pick<MonitorInput, 'step' | 'std' | 'rank'>,
  memory: CollapseMemory | null,
): MonitorReport<CollapseMemory> {
  const extent = extentOf({ std, rank });
  if (!memory?.first) return { memory: startingWith({ std, rank, extent }) };
  const times = Number((extent / (memory.first.extent || extent || 1)).toPrecision(2));
  const text =
    `the targets are fixed, so nothing rewards representations for being alike; at step ${step}, pictures differ ` +
    `${times} times as much to the model as before training`;
  return { memory, verdict: { isWell: true, text } };
}

/** The spread itself is in every run's log; this one says when it falls, and in the end whether it has. */
const collapse: Monitor<CollapseMemory> = {
  name: 'collapse',
  summary: 'says when representations collapse, when they have recovered, and in the end whether they have collapsed',
  values: [],
  start: ({ fixedTargets }) => ({ observe: fixedTargets ? describeSpread : judgeSpread }),
};

const plugin = {
  name: 'collapse',
  summary: 'Watches for a collapse of representations',
  monitors: [collapse],
} satisfies Plugin;

export default plugin;
