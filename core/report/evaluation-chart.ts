import * as echarts from 'echarts';
import { UserError } from '../errors.js';
import type { EvaluationResult } from '../eval/result.js';
import { type ChartParts, type DrawApi, joinParts, titleAt, whisker } from './chart-parts.js';
import { COLOURS } from './colours.js';
import { computeHeight, computePanels } from './compute-chart.js';
import { archName, groupBy, isPapers, methodName, networkRows } from './network-rows.js';
import { paperTask, thousands } from './paper-tasks.js';
import { FONT, writePicture } from './picture.js';
import { MARK_WORDS, printable, shown } from './result-table.js';

const WIDTH = 1240;
const BARS = { left: 400, right: 190, rowHeight: 26 };
/** Above and below the bars of a data set: title, axis. */
const HEAD = 54;
const FOOT = 44;
/** Letters of where a data set lay. */
const LONGEST_PLACE = 50;
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
  const tasks = [...groupBy(results, taskOf).values()];
  let top = 0;
  const parts = tasks.map((task, index) => {
    const panel = barPanel(task, index, top);
    top += HEAD + task.length * BARS.rowHeight + FOOT;
    return panel;
  });
  const forCompute = computeHeight(results, taskOf);
  if (forCompute > 0) parts.push(computePanels(results, taskOf, { firstAxis: tasks.length, top, width: WIDTH }));
  await writePicture(path, render(joinParts(parts), top + forCompute));
}

/** A task's name for titles and legends; data sets that users bring are told apart by where they lay. */
function taskOf(result: EvaluationResult): string {
  const { dataSet, dataDescription, kind, classes, trainImages, testImages } = result;
  const place = paperTask(result) === null && dataDescription !== '' ? `: ${lastPart(dataDescription)}` : '';
  const images = `${thousands(trainImages)} training, ${thousands(testImages)} test images`;
  return printable(`${dataSet}${place} (${kind}; ${classes} classes; ${images})`);
}

/** The end of a long text. */
function lastPart(text: string): string {
  return text.length <= LONGEST_PLACE ? text : `…${text.slice(1 - LONGEST_PLACE)}`;
}

/** The bars of one data set: networks, below them their random initialisation. */
function barPanel(task: readonly EvaluationResult[], index: number, top: number): ChartParts {
  const results = networkRows(task).flatMap((row) => row.results);
  const { classes } = results[0] as EvaluationResult;
  const axes = { xAxisIndex: index, yAxisIndex: index };
  return {
    title: [titleAt(24, top + 14, taskOf(results[0] as EvaluationResult))],
    grid: [
      {
        left: BARS.left,
        top: top + HEAD,
        width: WIDTH - BARS.left - BARS.right,
        height: results.length * BARS.rowHeight,
      },
    ],
    xAxis: [{ gridIndex: index, type: 'value', min: 0, max: 100, axisLabel: { formatter: '{value}%' } }],
    yAxis: [
      {
        gridIndex: index,
        type: 'category',
        inverse: true,
        data: results.map(barName),
        axisTick: { show: false },
        axisLabel: { interval: 0, width: BARS.left - 30, overflow: 'truncate', color: '#222222' },
      },
    ],
    series: [
      {
        ...axes,
        type: 'bar',
        barWidth: '62%',
        data: results.map(({ best, network }) => ({
          value: best.top1.value,
          itemStyle: { color: network.weights === 'random' ? RANDOM_COLOUR : COLOURS.sky },
        })),
        markLine: {
          silent: true,
          symbol: 'none',
          lineStyle: { color: COLOURS.vermilion, type: 'dashed', width: 1.4 },
          label: { formatter: 'chance', color: COLOURS.vermilion, position: 'start', distance: 2, fontSize: 11 },
          data: [{ xAxis: 100 / classes }],
        },
      },
      { ...axes, ...barIntervals(results) },
    ],
  };
}

/** The interval across each bar, and the numbers at the right of the panel. */
function barIntervals(results: readonly EvaluationResult[]) {
  return {
    type: 'custom',
    z: 5,
    clip: false,
    data: results.map(({ best: { top1 } }, at) => [top1.low, at, top1.high]),
    encode: { x: [0, 2], y: 1 },
    renderItem: ({ dataIndex }: { dataIndex: number }, api: DrawApi) => {
      const { value, low, high } = (results[dataIndex] as EvaluationResult).best.top1;
      const [from, to] = [api.coord([low, dataIndex]), api.coord([high, dataIndex])];
      const text = `${shown(value)} [${shown(low)}, ${shown(high)}]`;
      const place = { x: WIDTH - BARS.right + 24, y: from[1], verticalAlign: 'middle' };
      return {
        type: 'group',
        children: [
          ...whisker(from, to),
          { type: 'text', style: { ...place, text, font: `13px ${FONT}`, fill: '#222222' } },
        ],
      };
    },
  };
}

function barName(result: EvaluationResult): string {
  const { network } = result;
  const length = network.weights === 'pretrained' && network.epochs !== null ? `, ${network.epochs} epochs` : '';
  const mark = isPapers(result) ? '' : ` (${MARK_WORDS['†']})`;
  return printable(`${methodName(network)} ${archName(network)}${length}${mark}`);
}

function render(parts: ChartParts, height: number): string {
  const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width: WIDTH, height });
  chart.setOption({ animation: false, backgroundColor: '#ffffff', textStyle: { fontFamily: FONT }, ...parts });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return svg;
}
