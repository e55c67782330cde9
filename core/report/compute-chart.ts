import { scaleLinear, scaleLog } from 'd3-scale';
import type { EvaluationResult } from '../eval/result.js';
import { archName, groupBy, isPapers, methodName } from './network-rows.js';
import {
  axisBelow,
  axisLeft,
  type Box,
  COLOURS,
  dot,
  line,
  type Point,
  type Scale,
  segment,
  text,
  titleAt,
  whisker,
  widthOf,
} from './picture.js';
import { MARK_WORDS } from './result-table.js';

type Compute = NonNullable<EvaluationResult['compute']>;
type Measured = EvaluationResult & { compute: Compute };

/** What was measured of one task. */
interface Task {
  task: string;
  results: readonly EvaluationResult[];
}

/** A task's results that tell what pretraining took, its colour, and its results without pretraining. */
interface Series {
  task: string;
  measured: readonly Measured[];
  random: readonly EvaluationResult[];
  colour: string;
}

/** Of tasks in turn. */
const SERIES_COLOURS = [COLOURS.blue, COLOURS.orange, COLOURS.green, COLOURS.vermilion, COLOURS.purple, COLOURS.sky];

const QUANTITIES = [
  { title: 'Top-1 by device hours of pretraining', name: 'device hours', of: (of: Compute) => of.deviceHours },
  {
    title: 'Top-1 by training operations (matrix products)',
    name: 'floating-point operations',
    of: (of: Compute) => of.trainingFlops,
  },
] as const;

/** Without its legend. */
const HEIGHT = 400;
const PANEL = { left: 70, top: 80, right: 40, bottom: 64 };
const LEGEND_LINE = 20;

/**
 * Accuracy against what pretraining took, on logarithmic axes side by side: a colour for each task, a dashed line at
 * its accuracy at random initialisation.
 * @returns null where no result tells what pretraining took
 */
export function computePanels(
  tasks: readonly Task[],
  { top, width }: { top: number; width: number },
): { drawn: string; height: number } | null {
  const series = tasks
    .map(({ task, results }) => ({
      task,
      measured: results.filter(hasCompute),
      random: results.filter(({ network }) => network.weights === 'random'),
    }))
    .filter(({ measured }) => measured.length > 0)
    .map((one, at): Series => ({ ...one, colour: SERIES_COLOURS[at % SERIES_COLOURS.length] as string }));
  if (series.length === 0) return null;
  const all = series.flatMap(({ measured }) => measured);
  const percents = aroundPercent([...all, ...series.flatMap(({ random }) => random)]);
  const mark = all.every(isPapers) ? '' : ` († ${MARK_WORDS['†']})`;
  const side = width / QUANTITIES.length;
  const legend = series.flatMap(({ task, colour, random }, at) => {
    const y = top + 48 + at * LEGEND_LINE;
    const words = `${task}${random.length > 0 ? '; dashed: random initialisation' : ''}`;
    return [dot([30, y], 4.5, colour), text([46, y], words)];
  });
  const panels = QUANTITIES.flatMap(({ title, name, of }, at) => {
    const box: Box = {
      left: at * side + PANEL.left,
      top: top + PANEL.top + LEGEND_LINE * series.length,
      width: side - PANEL.left - PANEL.right,
      height: HEIGHT - PANEL.top - PANEL.bottom,
    };
    const decades = wholeDecades(all.map(({ compute }) => of(compute)));
    const across = scaleLog([decades[0] as number, decades.at(-1) as number], [box.left, box.left + box.width]);
    const up = scaleLinear([percents[0] as number, percents.at(-1) as number], [box.top + box.height, box.top]);
    return [
      titleAt(at * side + 24, top + 10, title + mark),
      axisBelow(box, { scale: across, ticks: decades, format: powerOfTen, name }),
      axisLeft(box, { scale: up, ticks: percents, format: (value) => `${value}%` }),
      ...drawSeries(series, (result) => [across(of(result.compute)), up(result.best.top1.value)], up, box),
    ];
  });
  return { drawn: [...legend, ...panels].join('\n'), height: HEIGHT + LEGEND_LINE * series.length };
}

/** Points with intervals and names, a thin line along each method's networks, a dashed one at the accuracy without training. */
function drawSeries(series: readonly Series[], place: (result: Measured) => Point, up: Scale, box: Box): string[] {
  const parts = series.flatMap(({ measured, colour, random }) => {
    const families = groupBy(measured, ({ network, protocolName }) =>
      [methodName(network), archName(network), protocolName].join(' '),
    );
    return [
      ...random.map(({ best }) => {
        const y = up(best.top1.value);
        return segment([box.left, y], [box.left + box.width, y], { colour, width: 1.2, dash: '4 3' });
      }),
      ...[...families.values()].map((family) =>
        line(
          family.map(place).sort(([a], [b]) => a - b),
          { colour, opacity: 0.6 },
        ),
      ),
      ...measured.map((result) => {
        const { low, high } = result.best.top1;
        const [x, y] = place(result);
        return whisker([x, up(low)], [x, up(high)], colour) + dot([x, y], 3.7, colour);
      }),
    ];
  });
  const all = series.flatMap(({ measured }) => measured.map((result) => ({ result, at: place(result) })));
  const isOneMethod = new Set(all.map(({ result }) => methodName(result.network))).size === 1;
  const points = all.map(({ result, at }) => ({ at, words: pointName(result, isOneMethod) }));
  return [...parts, ...names(points, box)];
}

/** Names of points, beside, above or below them where there is room; left out where there is none. */
function names(points: readonly { words: string; at: Point }[], { left, width }: Box): string[] {
  const taken = points.map(({ at: [x, y] }): Box => ({ left: x - 5, top: y - 5, width: 10, height: 10 }));
  return points.flatMap(({ words, at: [x, y] }) => {
    const size = { width: widthOf(words), height: 13 };
    const toRight = { left: x + 12, top: y - 6.5, ...size };
    const toLeft = { left: x - 12 - size.width, top: y - 6.5, ...size };
    const [above, below] = [-20, 7].map((up) => ({ left: x - size.width / 2, top: y + up, ...size })) as [Box, Box];
    const sides = x < left + width / 2 ? [toRight, toLeft] : [toLeft, toRight];
    const place = [...sides, above, below].find(
      (box) => box.left >= left && box.left + box.width <= left + width && !taken.some((other) => overlap(other, box)),
    );
    if (!place) return [];
    taken.push(place);
    return [text([place.left + size.width / 2, place.top + 6.5], words, { anchor: 'middle' })];
  });
}

function overlap(a: Box, b: Box): boolean {
  return a.left < b.left + b.width && b.left < a.left + a.width && a.top < b.top + b.height && b.top < a.top + a.height;
}

/** A network in short, with its method where there are several. */
function pointName(result: Measured, isOneMethod: boolean): string {
  const { network } = result;
  const method = isOneMethod ? '' : `${methodName(network)} `;
  const epochs = network.epochs === null ? '' : `, ${network.epochs} ep.`;
  return `${method}${archName(network)}${epochs}${isPapers(result) ? '' : '†'}`;
}

/** A logarithmic axis has no place for 0. */
function hasCompute(result: EvaluationResult): result is Measured {
  return result.compute !== null && QUANTITIES.every(({ of }) => of(result.compute as Compute) > 0);
}

/** Percent, from ten to ten, around all intervals. */
function aroundPercent(results: readonly EvaluationResult[]): number[] {
  const all = results.map(({ best }) => best.top1);
  const lowest = Math.min(...all.map(({ low, value }) => Math.min(low, value)));
  const highest = Math.max(...all.map(({ high, value }) => Math.max(high, value)));
  const from = Math.max(0, 10 * Math.floor((lowest - 2) / 10));
  const to = Math.min(100, 10 * Math.ceil((highest + 2) / 10));
  return Array.from({ length: (to - from) / 10 + 1 }, (_, ten) => from + 10 * ten);
}

/** Powers of ten around all values: two at least. */
function wholeDecades(values: readonly number[]): number[] {
  const lowest = Math.floor(Math.log10(Math.min(...values)));
  const highest = Math.max(lowest + 1, Math.ceil(Math.log10(Math.max(...values))));
  return Array.from({ length: highest - lowest + 1 }, (_, power) => 10 ** lowest * 10 ** power);
}

/** 0.01, 10, 1000; 1e15 where that would be long. */
function powerOfTen(value: number): string {
  const power = Math.round(Math.log10(value));
  return Math.abs(power) <= 4 ? String(Number(value.toPrecision(6))) : `1e${power}`;
}
