import { fileURLToPath } from 'node:url';
import type { ScaleContinuousNumeric } from 'd3-scale';
import sharp from 'sharp';
import { writeFileAtomically } from '../base/atomic.js';

/** Colours that colour-blind readers can tell apart (Okabe and Ito 2008). */
export const COLOURS = {
  blue: '#0072B2',
  orange: '#E69F00',
  green: '#009E73',
  vermilion: '#D55E00',
  purple: '#CC79A7',
  sky: '#56B4E9',
  black: '#000000',
} as const;

/** The font of all pictures. It comes with the program, because many servers have none. */
const FONT = 'DejaVu Sans';
const FONT_FILE = fileURLToPath(new URL('../../../fonts/DejaVuSans.ttf', import.meta.url));
/** Of letters, in pixels; and the width of one in the mean, as a part of its size. */
const USUAL_SIZE = 12;
const LETTER = 0.55;

/** Draws an SVG as PNG and writes it whole or not at all. */
export async function writePicture(path: string, svg: string): Promise<void> {
  // One invisible letter with the font's file, after which SVG text finds the font by name.
  const letter = sharp({ text: { text: '.', font: FONT, fontfile: FONT_FILE } });
  await letter.raw().toBuffer();
  await writeFileAtomically(path, await sharp(Buffer.from(svg), { unlimited: true }).png().toBuffer());
}

/** A whole picture on white. */
export function drawing(width: number, height: number, parts: readonly string[], fontSize = USUAL_SIZE): string {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="${width}" height="${height}" ` +
      `font-family="${FONT}" font-size="${fontSize}">`,
    '<rect width="100%" height="100%" fill="#ffffff"/>',
    ...parts,
    '</svg>',
  ].join('\n');
}

/**
 * A square photograph as an address for SVG, scaled to `size` pixels.
 * @param rgb [side, side, 3]
 * @param enlarged whether its pixels are to be seen, not blurred
 */
export async function pngAddress(rgb: Uint8Array, side: number, size: number, enlarged = side < size): Promise<string> {
  const png = await sharp(rgb, { raw: { width: side, height: side, channels: 3 } })
    .resize(size, size, { kernel: enlarged ? 'nearest' : 'lanczos3' })
    .png()
    .toBuffer();
  return `data:image/png;base64,${png.toString('base64')}`;
}

/** The edge of a photograph, which may be white. */
export function frame(side: number): string {
  return `<rect width="${side}" height="${side}" fill="none" stroke="#cccccc" stroke-width="0.75"/>`;
}

/** Text for use in SVG, which has no place for control characters. */
export function escapeXml(text: string): string {
  const shown = text.replaceAll(/\p{Cc}|\p{Cs}|[\uFFFE\uFFFF]/gu, '?');
  return shown.replaceAll(/[&<>"]/g, (character) => ENTITIES[character]);
}

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };

/** The end of a picture's name, for use below it. */
export function shortName(name: string): string {
  const short = name.split(/[\\/]/).slice(-2).join('/');
  return short.length <= 22 ? short : `…${short.slice(-21)}`;
}

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
const TICK = 5;

type TextStyle = { size?: number; anchor?: 'start' | 'middle' | 'end'; colour?: string };

/** A line of text, of which `y` is the middle. */
export function text([x, y]: Point, words: string, style: TextStyle = {}): string {
  const { size = USUAL_SIZE, anchor = 'start', colour = '#222222' } = style;
  const baseline = y + 0.36 * size;
  return `<text x="${short(x)}" y="${short(baseline)}" font-size="${size}" text-anchor="${anchor}" fill="${colour}">${escapeXml(words)}</text>`;
}

/** The title of a panel. */
export function titleAt(left: number, top: number, words: string): string {
  return text([left + 5, top + 12], words, { size: 15 });
}

/** About how wide a text is, in pixels. */
export function widthOf(words: string): number {
  return LETTER * USUAL_SIZE * words.length;
}

type LineStyle = { colour?: string; width?: number; dash?: string; opacity?: number };

/** A line from point to point. */
export function line(points: readonly Point[], style: LineStyle = {}): string {
  const { colour = COLOURS.black, width = 1, dash, opacity } = style;
  const path = points.map(([x, y]) => `${short(x)},${short(y)}`).join('L');
  const more = `${dash ? ` stroke-dasharray="${dash}"` : ''}${opacity ? ` stroke-opacity="${opacity}"` : ''}`;
  return `<path d="M${path}" fill="none" stroke="${colour}" stroke-width="${width}" stroke-linejoin="round"${more}/>`;
}

export function dot([x, y]: Point, radius: number, colour: string, fill = colour): string {
  return `<circle cx="${short(x)}" cy="${short(y)}" r="${radius}" fill="${fill}" stroke="${colour}" stroke-width="1.6"/>`;
}

/** A straight line. */
export function segment(from: Point, to: Point, style: LineStyle = {}): string {
  return line([from, to], style);
}

/** A line from one end of an interval to the other with a bar at each end. */
export function whisker(from: Point, to: Point, colour: string = COLOURS.black): string {
  const [acrossX, acrossY] = from[1] === to[1] ? [0, 4] : [4, 0];
  const style = { colour, width: 1.4 };
  const end = ([x, y]: Point) => segment([x - acrossX, y - acrossY], [x + acrossX, y + acrossY], style);
  return segment(from, to, style) + end(from) + end(to);
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
        segment([x, top], [x, bottom], GRID),
        segment([x, bottom], [x, bottom + TICK], AXIS),
        text([x, bottom + 14], format(tick), label),
      ];
    }),
    segment([left, bottom], [left + width, bottom], AXIS),
    ...(name ? [text([left + width / 2, bottom + 32], name, label)] : []),
  ].join('\n');
}

/** A vertical axis at the left of a panel, with lines across it. */
export function axisLeft({ left, top, width, height }: Box, { scale, ticks, format }: Axis): string {
  return [
    ...ticks.flatMap((tick) => {
      const y = scale(tick);
      return [
        segment([left, y], [left + width, y], GRID),
        segment([left - TICK, y], [left, y], AXIS),
        text([left - TICK - 3, y], format(tick), { anchor: 'end', colour: AXIS.colour }),
      ];
    }),
    segment([left, top], [left, top + height], AXIS),
  ].join('\n');
}

/** Names of points, beside, above or below them where there is room; left out where there is none. */
export function namesOf(points: readonly { words: string; at: Point }[], { left, width }: Box): string[] {
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

function short(value: number): string {
  return String(Number(value.toFixed(2)));
}
