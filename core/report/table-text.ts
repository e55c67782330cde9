import Table from 'cli-table3';
import {
  allNotes,
  type Cell,
  cellsWithNote,
  isFigure,
  type ResultRow,
  type ResultTable,
  shown,
} from './result-table.js';

/** Columns of a terminal whose width is not known. */
const USUAL_WIDTH = 100;
/** Widest text of a column where intervals are below their values. */
const NARROW_TEXT = 14;

const PLAIN = { head: [], border: [], compact: true };
/** Columns that a space parts. */
const NO_SIDES = {
  ...{ left: '', 'left-mid': '', 'top-left': '', 'bottom-left': '' },
  ...{ right: '', 'right-mid': '', 'top-right': '', 'bottom-right': '' },
  ...{ middle: ' ', 'mid-mid': '─', 'top-mid': '─', 'bottom-mid': '─' },
};
const ALIGNMENTS = { figure: 'right', text: 'left' } as const;

/** From the widest form of a table to the narrowest. */
const FORMS = ['one line', 'two lines', 'no interval'] as const;
type Form = (typeof FORMS)[number];

/**
 * A table for a terminal. The best of each column has a star. With colour, published rows are dim and own rows bold;
 * without, a column says which they are where there are both. Where the terminal is narrow, borders go and intervals stand below their values; where it is
 * narrower still, they are left out, and at last every row is a list.
 * @param width columns of the terminal
 */
export function tableText(table: ResultTable, colour: boolean, width = USUAL_WIDTH): string {
  const bodies = FORMS.map((form) => ({ form, text: drawTable(table, colour, form) }));
  const fitting = bodies.find(({ text }) => text.split('\n').every((line) => visibleLength(line) <= width));
  const title = colour ? `\x1b[1m${table.title}\x1b[22m` : table.title;
  return [
    wrap(title, width),
    fitting?.text ?? drawLists(table, width),
    ...allNotes(table).map((note) => wrap(note, width)),
  ].join('\n');
}

function drawTable({ columns, groups }: ResultTable, colour: boolean, form: Form): string {
  const hasSource = !colour && groups.some(({ rows }) => rows.some(({ source }) => source === 'published'));
  const headings = [...columns.map(({ name }) => name), ...(hasSource ? ['Source'] : [])];
  const drawn = new Table({
    head: headings,
    ...(form === 'one line'
      ? { style: PLAIN }
      : { style: { ...PLAIN, 'padding-left': 0, 'padding-right': 0 }, chars: NO_SIDES }),
    colAligns: [...columns.map(({ kind }) => ALIGNMENTS[kind]), ALIGNMENTS.text].slice(0, headings.length),
  });
  for (const { title, rows } of groups) {
    if (title !== null) drawn.push([{ colSpan: headings.length, content: colour ? `\x1b[3m${title}\x1b[23m` : title }]);
    for (const row of rows) drawn.push([...rowWords(row, colour, form), ...(hasSource ? [row.source] : [])]);
  }
  return drawn.toString();
}

function rowWords(row: ResultRow, colour: boolean, form: Form): string[] {
  const words = cellsWithNote(row).map((cell) => cellWords(cell, form));
  if (!colour) return words;
  // Each line of a cell by itself, because borders stand between them.
  const [on, off] = row.source === 'published' ? ['\x1b[2m', '\x1b[22m'] : ['\x1b[1m', '\x1b[22m'];
  return words.map((word) =>
    word
      .split('\n')
      .map((line) => `${on}${line}${off}`)
      .join('\n'),
  );
}

function cellWords(cell: Cell, form: Form): string {
  if (cell === null) return '–';
  if (!isFigure(cell)) return form === 'one line' ? cell.text : wrap(cell.text, NARROW_TEXT);
  const value = `${shown(cell.value)}${cell.marks.join('')}${cell.best ? '*' : ''}`;
  if (cell.interval === null || form === 'no interval') return value;
  const { low, high } = cell.interval;
  return form === 'one line' ? `${value} [${shown(low)}, ${shown(high)}]` : `${value}\n${shown(low)}–${shown(high)}`;
}

/** Every row as a heading and a line for each value. */
function drawLists({ columns, groups }: ResultTable, width: number): string {
  return groups
    .flatMap(({ title, rows }) => [
      ...(title === null ? [] : [`${title}:`]),
      ...rows.map((row) => {
        const cells = cellsWithNote(row);
        const facts = columns.flatMap(({ kind, name }, at) => {
          const words = cellWords(cells[at] ?? null, 'one line');
          return kind === 'text' ? [name === 'Epochs' ? `${words} epochs` : words] : [];
        });
        const values = columns.flatMap(({ kind, name }, at) =>
          kind === 'figure' ? [`  ${name}: ${cellWords(cells[at] ?? null, 'one line')}`] : [],
        );
        return [wrap(`${facts.join(', ')} (${row.source})`, width), ...values].join('\n');
      }),
    ])
    .join('\n');
}

/** Length without the codes of colours. */
function visibleLength(line: string): number {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return line.replaceAll(/\x1b\[[0-9;]*m/g, '').length;
}

/** Breaks a text into lines at its spaces; words that are too long stay whole. */
function wrap(text: string, width: number): string {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const line = lines.at(-1);
    if (line !== undefined && visibleLength(line) + 1 + visibleLength(word) <= width) {
      lines[lines.length - 1] = `${line} ${word}`;
    } else lines.push(word);
  }
  return lines.join('\n');
}
