import type { ScaleContinuousNumeric } from 'd3-scale';
import { COLOURS } from './colours.js';
import { escapeXml } from './picture.js';

/** Where something stands in a picture, in pixels. */
export interface Box {
  left: number;
  top: number;
  width: number;
  height: number;
}

export type Scale = ScaleContinuousNumeric<number, number>;
export type Point = readonly [x: number, y: number];

const AXIS = { colour: '#5b5e66' };
const GRID = { colour: '#dcdfe5' };
const TEXT_COLOUR = '#222222';
const TICK = 5;
/** Width of a letter of the font in the mean, as a part of its size. */
const LETTER = 0.55;

export interface TextStyle {
  size?: number;
  anchor?: 'start' | 'middle' | 'end';
  colour?: string;
}

/** A line of text, of which `y` is the middle. */
export function text([x, y]: Point, words: string, style: TextStyle = {}): string {
  const { size = 12, anchor = 'start', colour = TEXT_COLOUR } = style;
  const baseline = y + 0.36 * size;
  return `<text x="${short(x)}" y="${short(baseline)}" font-size="${size}" text-anchor="${anchor}" fill="${colour}">${escapeXml(words)}</text>`;
}

/** The title of a panel. */
export function titleAt(left: number, top: number, words: string): string {
  return text([left + 5, top + 12], words, { size: 15 });
}

/** About how wide a text is, in pixels. */
export function widthOf(words: string, size = 12): number {
  return LETTER * size * words.length;
}

export interface LineStyle {
  colour?: string;
  width?: number;
  dash?: string;
  opacity?: number;
}

/** A line from point to point. */
export function line(
  points: readonly Point[],
  { colour = COLOURS.black, width = 1, dash, opacity }: LineStyle = {},
): string {
  const path = points.map(([x, y]) => `${short(x)},${short(y)}`).join('L');
  const more = `${dash ? ` stroke-dasharray="${dash}"` : ''}${opacity ? ` stroke-opacity="${opacity}"` : ''}`;
  return `<path d="M${path}" fill="none" stroke="${colour}" stroke-width="${width}" stroke-linejoin="round"${more}/>`;
}

export function dot([x, y]: Point, radius: number, colour: string, fill = colour): string {
  return `<circle cx="${short(x)}" cy="${short(y)}" r="${radius}" fill="${fill}" stroke="${colour}" stroke-width="1.6"/>`;
}

/** A straight line. */
export function segment(x1: number, y1: number, x2: number, y2: number, style: LineStyle = {}): string {
  return line(
    [
      [x1, y1],
      [x2, y2],
    ],
    style,
  );
}

/** A line from one end of an interval to the other with a bar at each end. */
export function whisker([x1, y1]: Point, [x2, y2]: Point, colour: string = COLOURS.black): string {
  const [acrossX, acrossY] = y1 === y2 ? [0, 4] : [4, 0];
  const style = { colour, width: 1.4 };
  const end = (x: number, y: number) => segment(x - acrossX, y - acrossY, x + acrossX, y + acrossY, style);
  return segment(x1, y1, x2, y2, style) + end(x1, y1) + end(x2, y2);
}

export interface Axis {
  scale: Scale;
  ticks: readonly number[];
  format: (value: number) => string;
  /** Below a horizontal axis. */
  name?: string;
}

/** A horizontal axis at the bottom of a panel, with lines across it. */
export function axisBelow({ left, top, width, height }: Box, { scale, ticks, format, name }: Axis): string {
  const bottom = top + height;
  const label = { anchor: 'middle', colour: AXIS.colour } as const;
  return [
    ...ticks.flatMap((tick) => {
      const x = scale(tick);
      return [
        segment(x, top, x, bottom, GRID),
        segment(x, bottom, x, bottom + TICK, AXIS),
        text([x, bottom + 14], format(tick), label),
      ];
    }),
    segment(left, bottom, left + width, bottom, AXIS),
    ...(name ? [text([left + width / 2, bottom + 32], name, label)] : []),
  ].join('\n');
}

/** A vertical axis at the left of a panel, with lines across it. */
export function axisLeft({ left, top, width, height }: Box, { scale, ticks, format }: Axis): string {
  return [
    ...ticks.flatMap((tick) => {
      const y = scale(tick);
      return [
        segment(left, y, left + width, y, GRID),
        segment(left - TICK, y, left, y, AXIS),
        text([left - TICK - 3, y], format(tick), { anchor: 'end', colour: AXIS.colour }),
      ];
    }),
    segment(left, top, left, top + height, AXIS),
  ].join('\n');
}

function short(value: number): string {
  return String(Number(value.toFixed(2)));
}
