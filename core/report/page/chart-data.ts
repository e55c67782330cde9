import type { Curve, RunFacts } from '../facts.js';

/*
 * What charts draw, without a browser.
 */

/** The same column of several runs. */
export interface Panel {
  name: string;
  title: string;
  lines: readonly { run: number; name: string; curve: Curve }[];
}

/** Names that are written otherwise than their words. */
const WORDS: Readonly<Record<string, string>> = {
  'features/std': 'Collapse: standard deviation of features',
  'features/rank': 'Collapse: effective rank of features (RankMe)',
  'gradients/norm': 'Gradient norm',
  'probe/logistic': 'Online probe: logistic regression, top-1 in percent',
  'probe/neighbours': 'Online probe: nearest neighbours, top-1 in percent',
};
/** In this order; others come before the last ones. */
const FIRST = ['loss', 'terms/', 'probe/', 'features/', 'gradients/', 'method/', 'rates/'];
const LAST = ['speed/'];

/** A panel for each column that a run has, in an order that does not depend on which run has it. */
export function panelsOf(runs: readonly Pick<RunFacts, 'name' | 'curves'>[]): Panel[] {
  const names = [...new Set(runs.flatMap(({ curves }) => curves.map(({ name }) => name)))];
  const placeOf = (name: string) => {
    const place = FIRST.findIndex((start) => name.startsWith(start));
    if (place >= 0) return place;
    return FIRST.length + (LAST.some((start) => name.startsWith(start)) ? 1 : 0);
  };
  return names
    .map((name, at) => ({ name, at }))
    .sort((a, b) => placeOf(a.name) - placeOf(b.name) || a.at - b.at)
    .map(({ name }) => ({
      name,
      title: titleOf(name),
      lines: runs.flatMap((run, at) => {
        const curve = run.curves.find((one) => one.name === name);
        return curve ? [{ run: at, name: run.name, curve }] : [];
      }),
    }));
}

/** 'rates/learningRate' -> 'Learning rate', 'terms/prediction' -> 'Term: prediction', 'monitors/NAME/x' -> 'NAME: x' */
export function titleOf(name: string): string {
  const known = WORDS[name];
  if (known) return known;
  const [group = '', ...rest] = name.split('/');
  const words = (rest.at(-1) ?? group)
    .replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)
    .replace(/\bema\b/, 'EMA');
  if (group === 'monitors') return `${rest[0]}: ${words}`;
  return group === 'terms' ? `Term: ${words}` : words.charAt(0).toUpperCase() + words.slice(1);
}

/**
 * Lines over the steps that any of them has: [steps, values of the first line, ...]; null where a line has no value, or, on a
 * logarithmic axis, none above 0.
 */
export function alignLines(lines: Panel['lines'], logarithmic: boolean) {
  const steps = [...new Set(lines.flatMap(({ curve }) => curve.steps))].sort((a, b) => a - b);
  const places = new Map(steps.map((step, at) => [step, at]));
  const values = lines.map(({ curve }) => {
    const aligned: (number | null)[] = steps.map(() => null);
    for (const [at, step] of curve.steps.entries()) {
      const value = curve.values[at] ?? null;
      aligned[places.get(step) ?? 0] = logarithmic && value !== null && value <= 0 ? null : value;
    }
    return aligned;
  });
  return { steps, values };
}

/**
 * A curve without its noise: an exponential moving average less its bias towards the 0 from which it begins, as TensorBoard
 * has it. A curve of equal values stays as it is: errors of rounding would be all that an axis around it shows.
 *
 * m_0 = 0, m_t = w m_{t-1} + (1 - w) x_t, smoothed value m_t / (1 - w^t); x_t the t-th value, w the weight from 0 up to 1.
 */
export function smoothed(curve: Curve, weight: number): Curve {
  if (curve.values.every((value) => value === curve.values[0])) return curve;
  let mean = 0;
  const values = curve.values.map((value, at) => {
    mean = weight * mean + (1 - weight) * value;
    return mean / (1 - weight ** (at + 1));
  });
  return { ...curve, values };
}

/** Values of a line that a logarithmic axis has no place for. */
export function withoutPlace(lines: Panel['lines']): number {
  return lines.reduce((count, { curve }) => count + curve.values.filter((value) => value <= 0).length, 0);
}

/** Numbers of rows, evenly spread, the first and the last among them. */
export function spread(count: number, most: number): number[] {
  if (count <= most) return Array.from({ length: count }, (_, at) => at);
  return Array.from({ length: most }, (_, at) => Math.round((at * (count - 1)) / (most - 1)));
}

/** Where the newest value of a line at or before a step is: what a chart tells of a place where not every run has a value. */
export function valueAt(curve: Curve, step: number): number | null {
  const after = curve.steps.findIndex((one) => one > step);
  const at = (after < 0 ? curve.steps.length : after) - 1;
  return curve.values[at] ?? null;
}

/** A range of steps that is `factor` times as wide, about a step, within limits. */
export function zoomed(
  [from, to]: readonly [number, number],
  about: number,
  factor: number,
  [lowest, highest]: readonly [number, number],
): [number, number] {
  const width = Math.min(highest - lowest, Math.max(2, (to - from) * factor));
  const part = to > from ? (about - from) / (to - from) : 0.5;
  const start = Math.max(lowest, Math.min(highest - width, about - part * width));
  return [start, start + width];
}

/** A number for people: four digits that count. */
export function shown(value: number | null): string {
  if (value === null || !Number.isFinite(value)) return '–';
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e6))
    return value
      .toExponential(3)
      .replace(/\.?0+e/, 'e')
      .replace('e+', 'e');
  return String(Number(value.toPrecision(4)));
}

/** Seconds for people: '48 s', '5 min', '2.1 h'. */
export function duration(seconds: number): string {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}
