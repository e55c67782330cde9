import type { MeanAccuracy } from '../eval/accuracy.js';
import type { Accuracy } from '../eval/results.js';

/** A table of results, ready to be written in any form. */
export interface ResultTable {
  /** For file names and machines: 'linear-imagenet', 'shapes-linear'. */
  name: string;
  title: string;
  /** Each of text, of percent, or of other numbers as text. */
  columns: readonly { name: string; kind: 'text' | 'figure' | 'number' }[];
  groups: readonly RowGroup[];
  /** What the marks mean and what has to be known of all rows, one note a line. */
  notes: readonly string[];
}

export interface RowGroup {
  title: string | null;
  rows: readonly ResultRow[];
}

export interface ResultRow {
  /** Copied from the paper, or measured by this program. */
  source: 'published' | 'measured';
  /** What a published row shares with a measured one of its table; left out where they have other methods. */
  shares?: 'method' | 'method and backbone';
  /** One for each column; null where there is no value. */
  cells: readonly Cell[];
  /** What has to be known of a measured row; its number stands behind the row's first cell. */
  note?: { number: number; text: string };
}

export type Cell = { text: string } | FigureCell | null;

/** Percent of the test images. */
interface FigureCell {
  value: number;
  /** 95% interval over the test images; null for published values. */
  interval: { low: number; high: number } | null;
  /** Standard deviation over seeds of the mean that it is; left out of others. */
  deviation?: number;
  marks: readonly Mark[];
  /** Whether it is the best of its column, among those that may be compared. */
  best: boolean;
}

/** †: the quick protocol, or fine-tuning other than the paper's. ‡: a part of the data set. */
export type Mark = '†' | '‡';

/** What a mark means where there is no room for a note. */
export const MARK_WORDS: Readonly<Record<Mark, string>> = {
  '†': "not the paper's protocol",
  '‡': 'part of the data set',
};

/** Where a row comes from: 'published, same method and backbone'. */
export function sourceWords({ source, shares }: ResultRow): string {
  return shares ? `${source}, same ${shares}` : source;
}

export function isFigure(cell: Cell | undefined): cell is FigureCell {
  return cell !== null && cell !== undefined && 'value' in cell;
}

/** A text cell. What could move a terminal's cursor is shown as '?'. */
export function textCell(text: string | number): Cell {
  return { text: printable(String(text)) };
}

/** Text in one line, without control characters. */
export function printable(text: string): string {
  return text.replaceAll(/\p{Cc}|\p{Cs}|[\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu, '?');
}

/** A published value, or a measured one with its interval. */
export function figureCell(of: number | Accuracy | MeanAccuracy, marks: readonly Mark[] = []): FigureCell {
  if (typeof of === 'number') return { value: of, interval: null, marks, best: false };
  const { value, low, high } = of;
  const deviation = 'deviation' in of && of.deviation !== null && { deviation: of.deviation };
  return { value, interval: { low, high }, ...deviation, marks, best: false };
}

/**
 * Marks the best value of each column, ties together; none where fewer than two values may be compared.
 * @param competes whether a value may be compared with the others of its column
 */
export function markBest(
  groups: readonly RowGroup[],
  competes: (cell: FigureCell, column: number) => boolean,
): RowGroup[] {
  const isCompared = (cell: Cell | undefined, column: number): cell is FigureCell =>
    isFigure(cell) && competes(cell, column);
  const rows = groups.flatMap((group) => group.rows);
  const best = rows[0]?.cells.map((_, column) => {
    const cells = rows.map((row) => row.cells[column]).filter((cell) => isCompared(cell, column));
    return cells.length < 2 ? null : shown(Math.max(...cells.map(({ value }) => value)));
  });
  const marked = (cell: Cell, column: number): Cell =>
    isCompared(cell, column) && shown(cell.value) === best?.[column] ? { ...cell, best: true } : cell;
  const markRow = (row: ResultRow) => ({ ...row, cells: row.cells.map(marked) });
  return groups.map(({ title, rows }) => ({ title, rows: rows.map(markRow) }));
}

/** Percent as tables show it: with one decimal, as the paper does. */
export function shown(value: number): string {
  return value.toFixed(1);
}
