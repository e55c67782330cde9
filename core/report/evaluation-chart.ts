import { scaleLinear } from 'd3-scale';
import { UserError } from '../base/errors.js';
import type { EvaluationResult } from '../eval/result.js';
import { benchmarkOf, thousands } from './benchmarks.js';
import { computePanels } from './compute-chart.js';
import { archName, groupBy, isPapers, methodName, networkRows } from './network-rows.js';
import {
  axisBelow,
  type Box,
  COLOURS,
  drawing,
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
  const tasks = [...groupBy(results, taskName)].map(([task, own]) => ({
    task,
    results: networkRows(own).flatMap((row) => row.results),
  }));
  const parts = tasks.map((task) => {
    const panel = barPanel(task.task, task.results, top);
    top += HEAD + task.results.length * BARS.rowHeight + FOOT;
    return panel;
  });
  const compute = computePanels(tasks, { top, width: WIDTH });
  if (compute) parts.push(compute.drawn);
  await writePicture(path, drawing(WIDTH, top + (compute?.height ?? 0), parts));
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
  const { classes } = results[0] as EvaluationResult;
  const { left, right, rowHeight } = BARS;
  const box: Box = { left, top: top + HEAD, width: WIDTH - left - right, height: results.length * rowHeight };
  const end = box.left + box.width;
  const scale = scaleLinear([0, 100], [left, end]);
  const chance = scale(100 / classes);
  const vermilion = { colour: COLOURS.vermilion };
  return [
    titleAt(24, top + 14, task),
    axisBelow(box, { scale, ticks: scale.ticks(5), format: (value) => `${value}%` }),
    ...results.map((result, at) => bar(result, scale, box.top + (at + 0.5) * rowHeight)),
    segment([chance, box.top], [chance, box.top + box.height], { ...vermilion, width: 1.4, dash: '4 3' }),
    text([chance, box.top - 8], 'chance', { ...vermilion, size: 11, anchor: 'middle' }),
    ...(results.some(({ logistic }) => logistic !== null)
      ? [
          diamond(end - 6, box.top - 9),
          text([end - 18, box.top - 8], 'logistic regression', { size: 11, anchor: 'end' }),
        ]
      : []),
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
