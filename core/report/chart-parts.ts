import { COLOURS } from './colours.js';
import { FONT } from './picture.js';

/** What a panel adds to a chart. */
export interface ChartParts {
  title: object[];
  grid: object[];
  xAxis: object[];
  yAxis: object[];
  series: object[];
}

export function joinParts(parts: readonly ChartParts[]): ChartParts {
  const all = (name: keyof ChartParts) => parts.flatMap((part) => part[name]);
  return { title: all('title'), grid: all('grid'), xAxis: all('xAxis'), yAxis: all('yAxis'), series: all('series') };
}

/** The title of a panel. */
export function titleAt(left: number, top: number, text: string) {
  return { left, top, text, textStyle: { fontFamily: FONT, fontSize: 15, fontWeight: 'normal' } };
}

type Point = readonly [number, number];

/** A line from one end of an interval to the other with a bar at each end, in pixels. */
export function whisker(from: Point, to: Point, colour: string = COLOURS.black): object[] {
  const [acrossX, acrossY] = from[1] === to[1] ? [0, 4] : [4, 0];
  const line = ([x1, y1]: Point, [x2, y2]: Point) => ({
    type: 'line',
    shape: { x1, y1, x2, y2 },
    style: { stroke: colour, lineWidth: 1.4 },
  });
  const end = ([x, y]: Point) => line([x - acrossX, y - acrossY], [x + acrossX, y + acrossY]);
  return [line(from, to), end(from), end(to)];
}

/** What echarts gives a function that draws a part of a series. */
export interface DrawApi {
  /** Pixels of a point. */
  coord(point: readonly number[]): [number, number];
}
