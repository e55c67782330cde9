import type { EvaluationResult } from '../eval/result.js';
import { type ChartParts, type DrawApi, titleAt, whisker } from './chart-parts.js';
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

/** Where the panels stand in the whole chart, and the number of the first axis that is free. */
export interface Place {
  firstAxis: number;
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
  { firstAxis, top, width }: Place,
): ChartParts {
  const measured = results.filter(hasCompute);
  const tasks = [...groupBy(measured, taskOf)].map(([task, own], at) => ({
    own,
    task,
    colour: TASK_COLOURS[at % TASK_COLOURS.length] as string,
    random: results.filter((result) => taskOf(result) === task && result.network.weights === 'random'),
  }));
  const ranges = QUANTITIES.map(({ of }) => wholeDecades(measured.map(({ compute }) => of(compute))));
  const middles = ranges.map(({ min, max }) => (Math.log10(min) + Math.log10(max)) / 2);
  const isMarked = measured.some((result) => !isPapers(result));
  const side = width / QUANTITIES.length;
  const legendTop = top + 40;
  const legendHeight = LEGEND_LINE * tasks.length;
  return {
    title: [
      ...QUANTITIES.map(({ title }, at) =>
        titleAt(at * side + 24, top + 10, `${title}${isMarked ? ` († ${MARK_WORDS['†']})` : ''}`),
      ),
      ...tasks.map(({ task, colour, random }, at) => ({
        left: 24,
        top: legendTop + at * LEGEND_LINE,
        text: `{mark|●}  ${task}${random.length > 0 ? '; dashed: random initialisation' : ''}`,
        textStyle: { fontSize: 12, fontWeight: 'normal', rich: { mark: { color: colour, fontSize: 14 } } },
      })),
    ],
    grid: QUANTITIES.map((_, at) => ({
      left: at * side + PANEL.left,
      top: top + PANEL.top + legendHeight,
      width: side - PANEL.left - PANEL.right,
      height: 400 - PANEL.top - PANEL.bottom,
    })),
    xAxis: QUANTITIES.map(({ name }, at) => ({
      gridIndex: firstAxis + at,
      type: 'log',
      name,
      nameLocation: 'middle',
      nameGap: 30,
      ...ranges[at],
      axisLabel: { formatter: powerOfTen },
    })),
    yAxis: QUANTITIES.map((_, at) => ({
      gridIndex: firstAxis + at,
      type: 'value',
      ...aroundPercent(
        measured,
        tasks.flatMap(({ random }) => random),
      ),
      interval: 10,
      axisLabel: { formatter: '{value}%' },
    })),
    series: QUANTITIES.flatMap(({ of }, at) =>
      tasks.flatMap(({ own, colour, random }) =>
        taskSeries(
          [...own].sort((a, b) => of(a.compute) - of(b.compute)),
          of,
          colour,
          random,
          middles[at] as number,
        ).map((series) => ({
          ...series,
          xAxisIndex: firstAxis + at,
          yAxisIndex: firstAxis + at,
        })),
      ),
    ),
  };
}

/** Points with intervals and names, a thin line along each architecture, a dashed one at the accuracy without training. */
function taskSeries(
  own: readonly Measured[],
  of: (compute: Compute) => number,
  colour: string,
  random: readonly EvaluationResult[],
  middle: number,
): object[] {
  const top1 = (at: number) => (own[at] as Measured).best.top1;
  const x = (at: number) => of((own[at] as Measured).compute);
  // Names stand on the side where there is more room.
  const points = own.map((_, at) => ({
    value: [x(at), top1(at).value],
    label: { position: Math.log10(x(at)) < middle ? 'right' : 'left' },
  }));
  const baseline = {
    silent: true,
    symbol: 'none',
    lineStyle: { color: colour, type: 'dashed', width: 1.2 },
    label: { show: false },
    data: random.map(({ best }) => ({ yAxis: best.top1.value })),
  };
  const families = groupBy(own, ({ network, protocolName }) => `${archName(network)} ${protocolName}`);
  return [
    ...[...families.values()].map((family) => ({
      type: 'line',
      color: colour,
      symbol: 'none',
      lineStyle: { width: 1, opacity: 0.6 },
      data: family.map((result) => [of(result.compute), result.best.top1.value]),
    })),
    {
      type: 'scatter',
      color: colour,
      symbolSize: 9,
      data: points,
      label: {
        show: true,
        distance: 7,
        color: '#222222',
        formatter: ({ dataIndex }: { dataIndex: number }) => pointName(own[dataIndex] as Measured),
      },
      labelLayout: { hideOverlap: true },
      markLine: baseline,
    },
    {
      type: 'custom',
      data: own.map((_, at) => [x(at), top1(at).low, top1(at).high]),
      encode: { x: 0, y: [1, 2] },
      renderItem: ({ dataIndex }: { dataIndex: number }, api: DrawApi) => ({
        type: 'group',
        children: whisker(
          api.coord([x(dataIndex), top1(dataIndex).low]),
          api.coord([x(dataIndex), top1(dataIndex).high]),
          colour,
        ),
      }),
    },
  ];
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
