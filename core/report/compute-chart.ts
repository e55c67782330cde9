import { scaleLinear, scaleLog } from 'd3-scale';
import type { EvaluationResult } from '../eval/result.js';
import {
  axisBelow,
  axisLeft,
  type Box,
  dot,
  line,
  type Point,
  type Scale,
  text,
  titleAt,
  whisker,
  widthOf,
} from './chart-parts.js';
import { COLOURS } from './colours.js';
import { archName, groupBy, isPapers } from './network-rows.js';
import { MARK_WORDS } from './result-table.js';

type Compute = NonNullable<EvaluationResult['compute']>;
type Measured = EvaluationResult & { compute: Compute };

/** Of data sets in turn. */
const TASK_COLOURS = [COLOURS.blue, COLOURS.orange, COLOURS.green, COLOURS.vermilion, COLOURS.purple, COLOURS.sky];

const QUANTITIES = [
  { title: 'Top-1 by device hours of pretraining', name: 'device hours', of: (of: Compute) => of.deviceHours },
  {
    title: 'Top-1 by training operations (matrix products)',
    name: 'floating-point operations',
    of: (of: Compute) => of.trainingFlops,
  },
] as const;

const PANEL = { left: 70, top: 80, right: 40, bottom: 64 };
const LEGEND_LINE = 20;

/** Where the panels stand in the whole chart. */
export interface Place {
  top: number;
  width: number;
}

/** The height of the panels; 0 where no result tells what pretraining took. */
export function computeHeight(
  results: readonly EvaluationResult[],
  taskOf: (result: EvaluationResult) => string,
): number {
  const measured = results.filter(hasCompute);
  return measured.length === 0 ? 0 : 400 + LEGEND_LINE * groupBy(measured, taskOf).size;
}

/**
 * Accuracy against what pretraining took, on logarithmic axes side by side: a colour for each data set, a dashed line at
 * its accuracy at random initialisation.
 */
export function computePanels(
  results: readonly EvaluationResult[],
  taskOf: (result: EvaluationResult) => string,
  { top, width }: Place,
): string {
  const measured = results.filter(hasCompute);
  const tasks = [...groupBy(measured, taskOf)].map(([task, own], at) => ({
    own,
    task,
    colour: TASK_COLOURS[at % TASK_COLOURS.length] as string,
    random: results.filter((result) => taskOf(result) === task && result.network.weights === 'random'),
  }));
  const isMarked = measured.some((result) => !isPapers(result));
  const side = width / QUANTITIES.length;
  const legendHeight = LEGEND_LINE * tasks.length;
  const percents = aroundPercent(
    measured,
    tasks.flatMap(({ random }) => random),
  );
  return [
    ...tasks.flatMap(({ task, colour, random }, at) => {
      const y = top + 48 + at * LEGEND_LINE;
      return [
        dot([30, y], 4.5, colour),
        text([46, y], `${task}${random.length > 0 ? '; dashed: random initialisation' : ''}`),
      ];
    }),
    ...QUANTITIES.flatMap(({ title, name, of }, at) => {
      const box: Box = {
        left: at * side + PANEL.left,
        top: top + PANEL.top + legendHeight,
        width: side - PANEL.left - PANEL.right,
        height: 400 - PANEL.top - PANEL.bottom,
      };
      const { min, max } = wholeDecades(measured.map(({ compute }) => of(compute)));
      const across = scaleLog([min, max], [box.left, box.left + box.width]);
      const up = scaleLinear([percents.min, percents.max], [box.top + box.height, box.top]);
      const decades = Array.from({ length: Math.round(Math.log10(max / min)) + 1 }, (_, power) => min * 10 ** power);
      const tens = Array.from({ length: (percents.max - percents.min) / 10 + 1 }, (_, ten) => percents.min + 10 * ten);
      return [
        titleAt(at * side + 24, top + 10, `${title}${isMarked ? ` († ${MARK_WORDS['†']})` : ''}`),
        axisBelow(box, { scale: across, ticks: decades, format: powerOfTen, name }),
        axisLeft(box, { scale: up, ticks: tens, format: (value) => `${value}%` }),
        ...drawTasks(tasks, (result) => [across(of(result.compute)), up(result.best.top1.value)], up, box),
      ];
    }),
  ].join('\n');
}

interface Task {
  own: readonly Measured[];
  colour: string;
  random: readonly EvaluationResult[];
}

/** Points with intervals and names, a thin line along each architecture, a dashed one at the accuracy without training. */
function drawTasks(tasks: readonly Task[], place: (result: Measured) => Point, up: Scale, box: Box): string[] {
  const { left, width } = box;
  const parts = tasks.flatMap(({ own, colour, random }) => {
    const families = groupBy(own, (result) => `${archName(result.network)} ${result.protocolName}`);
    return [
      ...random.map(({ best }) => {
        const y = up(best.top1.value);
        return line(
          [
            [left, y],
            [left + width, y],
          ],
          { colour, width: 1.2, dash: '4 3' },
        );
      }),
      ...[...families.values()].map((family) =>
        line(
          family.map(place).sort(([a], [b]) => a - b),
          { colour, opacity: 0.6 },
        ),
      ),
      ...own.map((result) => {
        const { low, high } = result.best.top1;
        const [x, y] = place(result);
        return whisker([x, up(low)], [x, up(high)], colour) + dot([x, y], 3.7, colour);
      }),
    ];
  });
  const all = tasks.flatMap(({ own }) => own.map((result) => ({ words: pointName(result), at: place(result) })));
  return [...parts, ...names(all, box)];
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

function pointName(result: Measured): string {
  const { network } = result;
  const epochs = network.epochs === null ? '' : `, ${network.epochs} ep.`;
  return `${archName(network)}${epochs}${isPapers(result) ? '' : '†'}`;
}

/** A logarithmic axis has no place for 0. */
function hasCompute(result: EvaluationResult): result is Measured {
  return result.compute !== null && QUANTITIES.every(({ of }) => of(result.compute as Compute) > 0);
}

/** An axis of percent, from ten to ten, that holds all intervals. */
function aroundPercent(
  measured: readonly Measured[],
  random: readonly EvaluationResult[],
): { min: number; max: number } {
  const all = [...measured, ...random].map(({ best }) => best.top1);
  const lowest = Math.min(...all.map(({ low, value }) => Math.min(low, value)));
  const highest = Math.max(...all.map(({ high, value }) => Math.max(high, value)));
  return {
    min: Math.max(0, 10 * Math.floor((lowest - 2) / 10)),
    max: Math.min(100, 10 * Math.ceil((highest + 2) / 10)),
  };
}

/** An axis from a power of ten to another one. */
function wholeDecades(values: readonly number[]): { min: number; max: number } {
  const lowest = Math.floor(Math.log10(Math.min(...values)));
  const highest = Math.log10(Math.max(...values));
  return { min: 10 ** lowest, max: 10 ** Math.max(lowest + 1, Math.ceil(highest)) };
}

const SUPERSCRIPTS = '⁰¹²³⁴⁵⁶⁷⁸⁹';

/** 0.01, 10, 1000; 10¹⁵ where that would be long. */
function powerOfTen(value: number): string {
  const power = Math.round(Math.log10(value));
  if (Math.abs(power) <= 4) return String(Number(value.toPrecision(6)));
  const digits = [...String(Math.abs(power))].map((digit) => SUPERSCRIPTS[Number(digit)]).join('');
  return `10${power < 0 ? '⁻' : ''}${digits}`;
}
