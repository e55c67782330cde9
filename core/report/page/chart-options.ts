import type uPlot from 'uplot';
import { type Panel, shown } from './chart-data.js';

/** Colours of runs that the style names, and dashes of the lines of further ones. */
const COLOURS = 6;
const DASHES = [[], [8, 4], [2, 3]] as const;
/** Opacity of what was logged behind what is smoothed. */
const FAINT = 0.35;

/** What a chart is asked by its reader. */
export interface ChartEvents {
  /** Some steps were chosen; null: all. */
  selected: (range: [number, number] | null) => void;
  /** A place of the data is looked at; null: none. */
  pointed: (at: number | null) => void;
}

/** The number of the colour of a run. */
export function colourOf(run: number): number {
  return run % COLOURS;
}

/** A colour of the page as it is now. */
function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/**
 * How uPlot draws lines over steps.
 * @param isSmoothed whether each line is drawn as it is first, faintly, and then smoothed
 */
export function chartOptions(
  lines: Panel['lines'],
  { logarithmic, isSmoothed }: { logarithmic: boolean; isSmoothed: boolean },
  events: ChartEvents,
): Omit<uPlot.Options, 'width' | 'height'> {
  const axis = { stroke: () => colour('--muted'), font: '12px system-ui, sans-serif' };
  const grid = { stroke: () => colour('--line'), width: 1 };
  const ticks = { ...grid, size: 4 };
  const whole = (_: uPlot, splits: number[]) => splits.map((split) => (Number.isInteger(split) ? String(split) : ''));
  const figures = (_: uPlot, splits: (number | null)[]) => splits.map((split) => (split === null ? '' : shown(split)));
  return {
    legend: { show: false },
    scales: { x: { time: false, auto: false }, y: logarithmic ? { distr: 3, log: 10 } : { range: aroundValues } },
    axes: [
      { ...axis, grid, ticks, size: 34, values: whole },
      { ...axis, grid, ticks, size: 58, values: figures, space: 28 },
    ],
    series: [
      {},
      ...(isSmoothed ? lines.map(({ run }) => faintSeriesOf(run)) : []),
      ...lines.map(({ run, curve }) => seriesOf(run, curve.values.length)),
    ],
    cursor: {
      drag: { x: true, y: false, setScale: false },
      points: { size: 7 },
      bind: {
        dblclick: () => () => {
          events.selected(null);
          return null;
        },
      },
    },
    hooks: {
      setSelect: [
        (plot) => {
          const { left, width } = plot.select;
          if (width < 4) return;
          const [from, to] = [plot.posToVal(left, 'x'), plot.posToVal(left + width, 'x')];
          plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
          events.selected([from, to]);
        },
      ],
      setCursor: [
        (plot) =>
          events.pointed(plot.cursor.left !== undefined && plot.cursor.left >= 0 ? (plot.cursor.idx ?? null) : null),
      ],
    },
  };
}

function seriesOf(run: number, values: number): uPlot.Series {
  const stroke = () => colour(`--run-${colourOf(run)}`);
  const dash = [...(DASHES[Math.floor(run / COLOURS) % DASHES.length] ?? [])];
  return {
    stroke,
    width: 1.8,
    dash,
    spanGaps: true,
    points: { show: values < 30, size: 5, fill: stroke },
  };
}

/** Of what was logged, behind a smoothed line. */
function faintSeriesOf(run: number): uPlot.Series {
  return { ...seriesOf(run, Number.POSITIVE_INFINITY), width: 1, alpha: FAINT };
}

/** From the lowest to the highest value with some room; one value alone stands in the middle. */
function aroundValues(_: uPlot, lowest: number | null, highest: number | null): [number, number] {
  if (lowest === null || highest === null) return [0, 1];
  const room = highest > lowest ? (highest - lowest) * 0.06 : Math.abs(highest) / 10 || 1;
  return [lowest - room, highest + room];
}
