import { scaleLinear, scaleLog } from 'd3-scale';
import type { Console } from '../base/console.js';
import { reasonOf } from '../base/errors.js';
import {
  type Axis,
  axisBelow,
  axisLeft,
  type Box,
  COLOURS,
  dot,
  drawing,
  line,
  type Point,
  segment,
  text,
  titleAt,
  widthOf,
  writePicture,
} from '../report/picture.js';
import type { RunEvents } from './run-events.js';
import type { RunFolder } from './run-folder.js';
import { type LogRow, readRunLog } from './run-log.js';

/** One chart: a title, and lines over steps. */
interface Panel {
  title: string;
  lines: { name: string; colour: string; value: Value }[];
  logarithmic?: boolean;
}
type Value = (row: LogRow) => number | null;

const PALETTE = [COLOURS.blue, COLOURS.vermilion, COLOURS.green, COLOURS.purple, COLOURS.orange, COLOURS.sky] as const;

const PROBE: Panel = {
  title: 'Online probe: top-1 in percent',
  lines: [
    { name: 'logistic regression', colour: COLOURS.blue, value: ({ probe }) => probe?.logistic ?? null },
    { name: 'nearest neighbours', colour: COLOURS.vermilion, value: ({ probe }) => probe?.neighbours ?? null },
  ],
};

/** The panels of a log: what every method has, and a panel for each number of its own. */
function panelsOf(rows: readonly LogRow[]): Panel[] {
  const [first] = rows;
  const linesOf = (group: 'terms' | 'method' | 'rates'): Panel['lines'] =>
    Object.keys(first[group]).map((name, at) => {
      return { name, colour: PALETTE[at % PALETTE.length], value: (row) => row[group][name] ?? null };
    });
  const own = (group: 'method' | 'rates') =>
    linesOf(group).map(({ name, colour, value }) => panel(titleOf(name), colour, value));
  return [
    {
      title: 'Loss and its terms',
      lines: [{ name: 'loss', colour: COLOURS.black, value: (row) => row.loss }, ...linesOf('terms')],
    },
    ...(rows.some(({ probe }) => probe) ? [PROBE] : []),
    panel('Collapse: effective rank (RankMe), fixed images', COLOURS.vermilion, (row) => row.featureRank),
    panel('Collapse: standard deviation, fixed images', COLOURS.green, (row) => row.featureStd),
    { ...panel('Gradient norm', COLOURS.purple, (row) => row.gradientNorm), logarithmic: true },
    ...own('rates'),
    ...own('method'),
    panel('Images per second', COLOURS.blue, (row) => row.imagesPerSecond),
    ...monitorPanels(rows),
  ];
}

function panel(title: string, colour: string, value: Value): Panel {
  return { title, lines: [{ name: title, colour, value }] };
}

/** 'contextPatches' -> 'Context patches', 'emaDecay' -> 'EMA decay' */
function titleOf(name: string): string {
  const words = name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`).replace(/\bema\b/, 'EMA');
  return words.charAt(0).toUpperCase() + words.slice(1);
}

function monitorPanels(rows: readonly LogRow[]): Panel[] {
  const lines = new Map<string, Value>();
  for (const { monitors } of rows) {
    for (const [monitor, values] of Object.entries(monitors ?? {})) {
      for (const name of Object.keys(values)) {
        lines.set(`${monitor}: ${name}`, (row) => row.monitors?.[monitor]?.[name] ?? null);
      }
    }
  }
  return [...lines].map(([title, value]) => panel(title, COLOURS.vermilion, value));
}

const COLUMNS = 2;
const PANEL = { width: 620, height: 300 };
const MARGIN = { left: 70, top: 45, right: 30, bottom: 50 };
/** Most points of a line; of longer runs, every n-th step is drawn. */
const MAX_POINTS = 4000;
/** Points of a line so short that each is marked: a single one makes no line. */
const FEW_POINTS = 30;

/** Least milliseconds between two drawings of a run's curves, and fraction of the time that drawing may take. */
export const CURVES_INTERVAL = 60_000;
const CURVES_FRACTION = 0.02;

/**
 * Draws the curves of a run so far from its log. They are not worth a run: where they cannot be drawn, a line says so.
 * @param events take the picture too
 * @returns when they may be drawn again, by `performance.now`
 */
export async function writeCurves(folder: RunFolder, console: Console, events: RunEvents | null): Promise<number> {
  const started = performance.now();
  try {
    const rows = readRunLog(folder);
    const last = rows.at(-1);
    if (last) {
      await writePicture(folder.curves, drawCurves(rows));
      await events?.addCurves(last.step);
    }
  } catch (error) {
    console.warn(`curves.png was not drawn: ${reasonOf(error)}`);
  }
  const now = performance.now();
  return now + Math.max(CURVES_INTERVAL, (now - started) / CURVES_FRACTION);
}

/** The curves as SVG. */
export function drawCurves(rows: readonly LogRow[]): string {
  const panels = panelsOf(rows);
  const height = Math.ceil(panels.length / COLUMNS) * PANEL.height;
  const parts = panels.map((panel, index) =>
    drawPanel(panel, rows, (index % COLUMNS) * PANEL.width, Math.floor(index / COLUMNS) * PANEL.height),
  );
  return drawing(COLUMNS * PANEL.width, height, parts);
}

function drawPanel(panel: Panel, rows: readonly LogRow[], left: number, top: number): string {
  const { title, lines, logarithmic = false } = panel;
  const box: Box = {
    left: left + MARGIN.left,
    top: top + MARGIN.top,
    width: PANEL.width - MARGIN.left - MARGIN.right,
    height: PANEL.height - MARGIN.top - MARGIN.bottom,
  };
  const curves = lines.map(({ value, ...look }) => ({ ...look, points: pointsOf(rows, value, logarithmic) }));
  const across = stepAxis(rows.at(-1)?.step ?? 1, box);
  const heights = curves.flatMap(({ points }) => points.map(([, y]) => y));
  const up = valueAxis(heights, box, logarithmic);
  return [
    titleAt(left + 60, top + 10, title),
    ...(lines.length > 1 ? [legend(lines, box.left + box.width, top + 19)] : []),
    axisBelow(box, across),
    axisLeft(box, up),
    ...curves.flatMap(({ points, colour }) => {
      const placed = points.map(([x, y]): Point => [across.scale(x), up.scale(y)]);
      return [
        line(placed, { colour, width: 1.6 }),
        ...(placed.length < FEW_POINTS ? placed.map((point) => dot(point, 2.2, colour, '#ffffff')) : []),
      ];
    }),
  ].join('\n');
}

/** The names of lines, up to the right edge of a panel. */
function legend(lines: Panel['lines'], right: number, y: number): string {
  let left = right - lines.reduce((sum, { name }) => sum + widthOf(name) + 48, -24);
  return lines
    .map(({ name, colour }) => {
      const start = left;
      left += widthOf(name) + 48;
      return segment([start, y], [start + 18, y], { colour, width: 2.4 }) + text([start + 24, y], name);
    })
    .join('');
}

/** The points of a line that an axis has a place for. */
function pointsOf(rows: readonly LogRow[], value: (row: LogRow) => number | null, logarithmic: boolean): Point[] {
  const points = rows.flatMap((row): Point[] => {
    const y = value(row);
    return y === null || !Number.isFinite(y) || (logarithmic && y <= 0) ? [] : [[row.step, y]];
  });
  const every = Math.ceil(points.length / MAX_POINTS);
  return points.filter((_, at) => at % every === 0);
}

function stepAxis(last: number, { left, width }: Box): Axis {
  const scale = scaleLinear([1, Math.max(2, last)], [left, left + width]);
  const between = scale.ticks(6).filter((tick) => Number.isInteger(tick) && scale(tick) - left > 30);
  return { scale, ticks: [1, ...between], format: String, name: 'step' };
}

/** An axis that holds all values, from one round number to another. */
function valueAxis(values: readonly number[], { top, height }: Box, logarithmic: boolean): Axis {
  const isEmpty = values.length === 0;
  const lowest = isEmpty ? 0.5 : values.reduce((a, b) => Math.min(a, b)); // they may be too many for arguments
  const highest = isEmpty ? 1 : values.reduce((a, b) => Math.max(a, b));
  const range = [top + height, top];
  const format = (value: number) => String(Number(value.toPrecision(5)));
  if (!logarithmic) {
    const room = highest > lowest ? 0 : Math.abs(highest) / 10 || 1;
    const scale = scaleLinear([lowest - room, highest + room], range).nice(6);
    return { scale, ticks: scale.ticks(6), format };
  }
  const steps = roundSteps(lowest, highest);
  return { scale: scaleLog([steps[0], steps[steps.length - 1]], range), ticks: steps, format };
}

/** Powers of ten around a range; 1, 2 and 5 times them where there are few. */
function roundSteps(lowest: number, highest: number): number[] {
  const [from, to] = [Math.floor(Math.log10(lowest)), Math.ceil(Math.log10(highest)) + 1];
  const factors = to - from > 4 ? [1] : [1, 2, 5];
  const steps = Array.from({ length: to - from + 1 }, (_, at) =>
    factors.map((factor) => Number(`${factor}e${from + at}`)),
  ).flat();
  const first = steps.findLastIndex((step) => step <= lowest);
  const last = steps.findIndex((step) => step >= highest);
  return steps.slice(first, Math.max(first + 1, last) + 1);
}
