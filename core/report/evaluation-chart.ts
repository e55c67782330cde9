import { scaleLinear, scaleLog } from 'd3-scale';
import { UserError } from '../base/errors.js';
import type { EvaluationResult } from '../eval/results.js';
import { archName, benchmarkOf, groupBy, isPapers, methodName, networkRows, thousands } from './network-rows.js';
import {
  axisBelow,
  axisLeft,
  type Box,
  COLOURS,
  dot,
  drawing,
  line,
  namesOf,
  type Point,
  type Scale,
  segment,
  text,
  titleAt,
  whisker,
  widthOf,
  writePicture,
} from './picture.js';
import { MARK_WORDS, printable, shown } from './result-table.js';

const WIDTH = 1240;
const BARS = { left: 400, right: 190, rowHeight: 26 };
/** Above and below the bars of a data set: title, axis. */
const HEAD = 54;
const FOOT = 44;
/** Letters of where a data set lay. */
const MAX_PLACE = 50;
const RANDOM_COLOUR = '#9a9a9a';

const SERIES_COLOURS = [COLOURS.blue, COLOURS.orange, COLOURS.green, COLOURS.vermilion, COLOURS.purple, COLOURS.sky];

const QUANTITIES = [
  { title: 'Top-1 by device hours of pretraining', name: 'device hours', of: 'deviceHours' },
  { title: 'Top-1 by training operations (matrix products)', name: 'floating-point operations', of: 'trainingFlops' },
] as const;

/** Of the panels of compute, without their legend. */
const HEIGHT = 400;
const PANEL = { left: 70, top: 80, right: 40, bottom: 64 };
const LEGEND_LINE = 20;

type Measured = EvaluationResult & { compute: NonNullable<EvaluationResult['compute']> };

/** A task's results that tell what pretraining took, its colour, and its results without pretraining. */
type Series = { task: string; measured: readonly Measured[]; random: readonly EvaluationResult[]; colour: string };

/**
 * Draws measured top-1 accuracy as a PNG: a bar with its 95% interval for each network on each data set, those at random
 * initialisation in grey; and, where it is known of some, against device hours and training operations.
 * @throws UserError if there is nothing to draw, or the file cannot be written
 */
export async function writeChart(path: string, results: readonly EvaluationResult[]): Promise<void> {
  if (results.length === 0) {
    throw new UserError('there are no results to draw', { expected: 'results of an evaluation' });
  }
  let top = 0;
  const bars: string[] = [];
  const tasks = [...groupBy(results, taskName)].map(([task, own]) => {
    const results = networkRows(own).flat();
    bars.push(barPanel(task, results, top));
    top += HEAD + results.length * BARS.rowHeight + FOOT;
    return { task, results };
  });
  const compute = computePanels(tasks, top);
  await writePicture(path, drawing(WIDTH, top + compute.height, [...bars, ...compute.parts]));
}

/** A task's name for titles and legends; data sets that users bring are told apart by where they lay. */
function taskName(result: EvaluationResult): string {
  const { dataSet, dataDescription, kind, classes, trainImages, testImages } = result;
  const isLong = dataDescription.length > MAX_PLACE;
  const end = isLong ? `…${dataDescription.slice(1 - MAX_PLACE)}` : dataDescription;
  const place = benchmarkOf(result) === null && dataDescription !== '' ? `: ${end}` : '';
  const images = `${thousands(trainImages)} training, ${thousands(testImages)} test images`;
  return printable(`${dataSet}${place} (${kind}; ${classes} classes; ${images})`);
}

/** The bars of one data set, each with its interval and numbers: networks, below them their random initialisation. */
function barPanel(task: string, results: readonly EvaluationResult[], top: number): string {
  const { classes } = results[0];
  const { left, right, rowHeight } = BARS;
  const box: Box = { left, top: top + HEAD, width: WIDTH - left - right, height: results.length * rowHeight };
  const end = box.left + box.width;
  const scale = scaleLinear([0, 100], [left, end]);
  const chance = scale(100 / classes);
  const vermilion = { colour: COLOURS.vermilion };
  const words = text([end - 18, box.top - 8], 'logistic regression', { size: 11, anchor: 'end' });
  const legend = `${diamond(end - 6, box.top - 9)}${words}`;
  return [
    titleAt(24, top + 14, task),
    axisBelow(box, { scale, ticks: scale.ticks(5), format: (value) => `${value}%` }),
    ...results.map((result, at) => bar(result, scale, box.top + (at + 0.5) * rowHeight)),
    segment([chance, box.top], [chance, box.top + box.height], { ...vermilion, width: 1.4, dash: '4 3' }),
    text([chance, box.top - 8], 'chance', { ...vermilion, size: 11, anchor: 'middle' }),
    ...(results.some(({ logistic }) => logistic !== null) ? [legend] : []),
  ].join('\n');
}

/** A network's name, bar, interval and numbers, around a height. */
function bar(result: EvaluationResult, scale: (value: number) => number, y: number): string {
  const { value, low, high } = result.best.top1;
  const colour = result.network.weights === 'random' ? RANDOM_COLOUR : COLOURS.sky;
  const height = 0.62 * BARS.rowHeight;
  return [
    text([BARS.left - 8, y], cut(barName(result), BARS.left - 30), { anchor: 'end' }),
    `<rect x="${BARS.left}" y="${y - height / 2}" width="${scale(value) - BARS.left}" height="${height}" fill="${colour}"/>`,
    whisker([scale(low), y], [scale(high), y]),
    ...(result.logistic ? [diamond(scale(result.logistic.top1.value), y)] : []),
    text([WIDTH - BARS.right + 24, y], `${shown(value)} [${shown(low)}, ${shown(high)}]`, { size: 13 }),
  ].join('\n');
}

/** Where logistic regression is. */
function diamond(x: number, y: number): string {
  return `<path d="M${x} ${y - 6}l6 6l-6 6l-6 -6z" fill="#222222"/>`;
}

/** As much of a text as fits. */
function cut(words: string, width: number): string {
  return widthOf(words) <= width ? words : `${words.slice(0, Math.floor(width / widthOf('x')) - 1)}…`;
}

function barName(result: EvaluationResult): string {
  const { network } = result;
  const length = network.weights === 'pretrained' && network.epochs !== null ? `, ${network.epochs} epochs` : '';
  const mark = isPapers(result) ? '' : ` (${MARK_WORDS['†']})`;
  return printable(`${methodName(network)} ${archName(network)}${length}${mark}`);
}

/**
 * Accuracy against what pretraining took, on logarithmic axes side by side: a colour for each task, a dashed line at
 * its accuracy at random initialisation.
 * @returns nothing where no result tells what pretraining took
 */
function computePanels(
  tasks: readonly { task: string; results: readonly EvaluationResult[] }[],
  top: number,
): { parts: readonly string[]; height: number } {
  const series: Series[] = [];
  for (const { task, results } of tasks) {
    const measured = results.filter(hasCompute);
    const random = results.filter(({ network }) => network.weights === 'random');
    const colour = SERIES_COLOURS[series.length % SERIES_COLOURS.length];
    if (measured.length > 0) series.push({ task, measured, random, colour });
  }
  if (series.length === 0) return { parts: [], height: 0 };
  const all = series.flatMap(({ measured }) => measured);
  const percents = aroundPercent([...all, ...series.flatMap(({ random }) => random)]);
  const mark = all.every(isPapers) ? '' : ` († ${MARK_WORDS['†']})`;
  const side = WIDTH / QUANTITIES.length;
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
    const decades = wholeDecades(all.map(({ compute }) => compute[of]));
    const across = scaleLog([decades[0], decades.at(-1) as number], [box.left, box.left + box.width]);
    const up = scaleLinear([percents[0], percents.at(-1) as number], [box.top + box.height, box.top]);
    return [
      titleAt(at * side + 24, top + 10, title + mark),
      axisBelow(box, { scale: across, ticks: decades, format: powerOfTen, name }),
      axisLeft(box, { scale: up, ticks: percents, format: (value) => `${value}%` }),
      ...drawSeries(series, (result) => [across(result.compute[of]), up(result.best.top1.value)], up, box),
    ];
  });
  return { parts: [...legend, ...panels], height: HEIGHT + LEGEND_LINE * series.length };
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
      ...Array.from(families.values(), (family) => {
        const way = family.map(place).sort(([a], [b]) => a - b);
        return line(way, { colour, opacity: 0.6 });
      }),
      ...measured.map((result) => {
        const { low, high } = result.best.top1;
        const [x, y] = place(result);
        return whisker([x, up(low)], [x, up(high)], colour) + dot([x, y], 3.7, colour);
      }),
    ];
  });
  const all = series.flatMap(({ measured }) => measured);
  const isOneMethod = new Set(all.map(({ network }) => methodName(network))).size === 1;
  const points = all.map((result) => ({ at: place(result), words: pointName(result, isOneMethod) }));
  return [...parts, ...namesOf(points, box)];
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
  return QUANTITIES.every(({ of }) => (result.compute?.[of] ?? 0) > 0);
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
