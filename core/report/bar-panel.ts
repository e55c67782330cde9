import { scaleLinear } from 'd3-scale';
import type { Accuracy } from '../eval/results.js';
import { axisBelow, type Box, COLOURS, dot, segment, text, titleAt, whisker, widthOf } from './picture.js';
import { shown } from './result-table.js';

const WIDTH = 1240;
const BARS = { left: 400, right: 190, rowHeight: 26 };
/** Above and below the bars: title, axis. */
const HEAD = 54;
const FOOT = 44;
const RANDOM_COLOUR = '#9a9a9a';

/** A bar: percent top-1 with its interval. */
export interface Bar {
  name: string;
  /** Whether the weights are random. */
  isRandom: boolean;
  /** Null where the bar is missing, and there is a diamond alone. */
  top1: Accuracy | null;
  /** Another accuracy on the same images; null where it was not measured. */
  diamond: number | null;
  /** Of the runs that the bar is the mean of. */
  dots?: readonly number[];
}

/** How wide pictures of bars are, and how high a panel is. */
export const BAR_WIDTH = WIDTH;
export const barPanelHeight = (bars: readonly Bar[]) => HEAD + bars.length * BARS.rowHeight + FOOT;

/**
 * The bars of one data set, each with its interval and numbers.
 * @param chance percent
 * @param diamondName what diamonds are
 */
export function barPanel(
  title: string,
  bars: readonly Bar[],
  { chance, diamondName, top }: { chance: number; diamondName: string; top: number },
): string {
  const { left, right, rowHeight } = BARS;
  const box: Box = { left, top: top + HEAD, width: WIDTH - left - right, height: bars.length * rowHeight };
  const end = box.left + box.width;
  const scale = scaleLinear([0, 100], [left, end]);
  const vermilion = { colour: COLOURS.vermilion };
  const words = text([end - 18, box.top - 8], diamondName, { size: 11, anchor: 'end' });
  const legend = `${diamond(end - 6, box.top - 9)}${words}`;
  const atChance = scale(chance);
  return [
    titleAt(24, top + 14, title),
    axisBelow(box, { scale, ticks: scale.ticks(5), format: (value) => `${value}%` }),
    ...bars.map((one, at) => drawBar(one, scale, box.top + (at + 0.5) * rowHeight)),
    segment([atChance, box.top], [atChance, box.top + box.height], { ...vermilion, width: 1.4, dash: '4 3' }),
    text([atChance, box.top - 8], 'chance', { ...vermilion, size: 11, anchor: 'middle' }),
    ...(bars.some(({ diamond }) => diamond !== null) ? [legend] : []),
  ].join('\n');
}

/** A bar's name, itself, its interval and numbers, around a height. */
function drawBar(
  { name, isRandom, top1, diamond: other, dots = [] }: Bar,
  scale: (value: number) => number,
  y: number,
) {
  const colour = isRandom ? RANDOM_COLOUR : COLOURS.sky;
  const height = 0.62 * BARS.rowHeight;
  const drawn = ({ value, low, high }: Accuracy) => [
    `<rect x="${BARS.left}" y="${y - height / 2}" width="${scale(value) - BARS.left}" height="${height}" fill="${colour}"/>`,
    whisker([scale(low), y], [scale(high), y]),
    ...dots.map((one) => dot([scale(one), y], 3, COLOURS.black, '#ffffff')),
    text([WIDTH - BARS.right + 24, y], `${shown(value)} [${shown(low)}, ${shown(high)}]`, { size: 13 }),
  ];
  return [
    text([BARS.left - 8, y], cut(name, BARS.left - 30), { anchor: 'end' }),
    ...(top1 ? drawn(top1) : []),
    ...(other === null ? [] : [diamond(scale(other), y)]),
  ].join('\n');
}

/** The other accuracy. */
function diamond(x: number, y: number): string {
  return `<path d="M${x} ${y - 6}l6 6l-6 6l-6 -6z" fill="#222222"/>`;
}

/** As much of a text as fits. */
function cut(words: string, width: number): string {
  return widthOf(words) <= width ? words : `${words.slice(0, Math.floor(width / widthOf('x')) - 1)}…`;
}
