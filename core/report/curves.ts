import * as echarts from 'echarts';
import type { RunFolder } from '../checkpoint/run-folder.js';
import { COLOURS } from './colours.js';
import { FONT, writePicture } from './picture.js';
import { type LogRow, readRunLog } from './run-log.js';

/** One chart: a title, and lines over steps. */
interface Panel {
  title: string;
  lines: { name: string; colour: string; value: (row: LogRow) => number | null }[];
  logarithmic?: boolean;
}

const PANELS: readonly Panel[] = [
  {
    title: 'Loss',
    lines: [
      { name: 'whole objective', colour: COLOURS.black, value: (row) => row.loss },
      { name: 'prediction loss', colour: COLOURS.blue, value: (row) => row.predictionLoss },
    ],
  },
  {
    title: 'Collapse: effective rank (RankMe), fixed images',
    lines: [{ name: 'rank', colour: COLOURS.vermilion, value: (row) => row.targetRank }],
  },
  {
    title: 'Collapse: standard deviation',
    lines: [
      { name: 'targets of a batch', colour: COLOURS.sky, value: (row) => row.batchDeviation },
      { name: 'fixed images', colour: COLOURS.green, value: (row) => row.targetDeviation },
    ],
  },
  {
    title: 'Gradient norm',
    lines: [{ name: 'norm', colour: COLOURS.purple, value: (row) => row.gradientNorm }],
    logarithmic: true,
  },
  { title: 'Learning rate', lines: [{ name: 'rate', colour: COLOURS.orange, value: (row) => row.learningRate }] },
  { title: 'Weight decay', lines: [{ name: 'decay', colour: COLOURS.sky, value: (row) => row.weightDecay }] },
  {
    title: 'Momentum of the moving average',
    lines: [{ name: 'momentum', colour: COLOURS.black, value: (row) => row.momentum }],
  },
  { title: 'Images per second', lines: [{ name: 'rate', colour: COLOURS.blue, value: (row) => row.imagesPerSecond }] },
];

/** A panel for each value of each monitor. */
function monitorPanels(rows: readonly LogRow[]): Panel[] {
  const titles = new Map<string, Panel>();
  for (const { monitors } of rows) {
    for (const [monitor, values] of Object.entries(monitors ?? {})) {
      for (const name of Object.keys(values)) {
        const title = `${monitor}: ${name}`;
        const value = (row: LogRow) => row.monitors?.[monitor]?.[name] ?? null;
        if (!titles.has(title)) titles.set(title, { title, lines: [{ name, colour: COLOURS.vermilion, value }] });
      }
    }
  }
  return [...titles.values()];
}

const COLUMNS = 2;
const PANEL = { width: 620, height: 300 };
/** Most points of a line; of longer runs, every n-th step is drawn. */
const MOST_POINTS = 4000;

/** Draws the curves of a run from its log. */
export async function writeCurves(folder: RunFolder): Promise<void> {
  const rows = readRunLog(folder);
  if (rows.length > 0) await writePicture(folder.curves, drawCurves(rows));
}

function drawCurves(rows: readonly LogRow[]): string {
  const panels = [...PANELS, ...monitorPanels(rows)];
  const width = COLUMNS * PANEL.width;
  const height = Math.ceil(panels.length / COLUMNS) * PANEL.height;
  const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width, height });
  const place = (index: number) => ({
    left: (index % COLUMNS) * PANEL.width,
    top: Math.floor(index / COLUMNS) * PANEL.height,
  });
  chart.setOption({
    animation: false,
    backgroundColor: '#ffffff',
    textStyle: { fontFamily: FONT },
    title: panels.map(({ title }, index) => ({
      text: title,
      left: place(index).left + 60,
      top: place(index).top + 10,
      textStyle: { fontFamily: FONT, fontSize: 15, fontWeight: 'normal' },
    })),
    legend: panels.flatMap(({ lines }, index) =>
      lines.length > 1
        ? [
            {
              data: lines.map(({ name }) => name),
              left: place(index).left + 300,
              top: place(index).top + 12,
              itemGap: 30,
              itemWidth: 18,
              textStyle: { fontFamily: FONT },
            },
          ]
        : [],
    ),
    grid: panels.map((_, index) => ({
      left: place(index).left + 70,
      top: place(index).top + 45,
      width: PANEL.width - 100,
      height: PANEL.height - 95,
    })),
    xAxis: panels.map((_, index) => ({
      gridIndex: index,
      type: 'value',
      name: 'step',
      nameLocation: 'middle',
      nameGap: 26,
      min: 1,
      max: Math.max(2, rows.at(-1)?.step ?? 2),
    })),
    yAxis: panels.map(({ logarithmic }, index) => ({
      gridIndex: index,
      type: logarithmic ? 'log' : 'value',
      scale: true,
      axisLabel: { formatter: (value: number) => String(Number(value.toPrecision(5))) },
    })),
    series: panels.flatMap(({ lines }, index) =>
      lines.map(({ name, colour, value }) => ({
        name,
        type: 'line',
        xAxisIndex: index,
        yAxisIndex: index,
        color: colour,
        lineStyle: { width: 1.6 },
        ...pointsOf(rows, value),
      })),
    ),
  });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return svg;
}

/** The points of a line; few points are marked, because a single one makes no line. */
function pointsOf(rows: readonly LogRow[], value: (row: LogRow) => number | null) {
  const points = rows.flatMap((row) => {
    const y = value(row);
    return y === null ? [] : [[row.step, y]];
  });
  const every = Math.ceil(points.length / MOST_POINTS);
  return { data: points.filter((_, at) => at % every === 0), showSymbol: points.length < 30, symbolSize: 5 };
}
