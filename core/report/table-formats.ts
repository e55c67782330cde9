import { stripVTControlCharacters } from 'node:util';
import Table from 'cli-table3';
import {
  type Cell,
  isFigure,
  MARK_WORDS,
  type ResultRow,
  type ResultTable,
  shown,
  sourceWords,
} from './result-table.js';

/**
 * A table as CSV (RFC 4180) with a header: the table's title, the group, the source, then the columns. A column of
 * figures becomes four: value, both ends of its interval, and what its marks say. The last column is the row's note.
 */
export function tableCsv({ title, columns, groups }: ResultTable): string {
  const headings = columns.flatMap(({ kind, name }) =>
    kind !== 'figure' ? [name] : [name, `${name} low`, `${name} high`, `${name} remarks`],
  );
  const valuesOf = ({ cells }: ResultRow) =>
    columns.flatMap(({ kind }, at) => {
      const cell = cells[at] ?? null;
      if (kind !== 'figure') return [cell !== null && !isFigure(cell) ? cell.text : ''];
      if (!isFigure(cell)) return ['', '', '', ''];
      const { value, interval, marks } = cell;
      return [value, interval?.low ?? '', interval?.high ?? '', marks.map((mark) => MARK_WORDS[mark]).join('; ')];
    });
  const lines = groups.flatMap((group) =>
    group.rows.map((row) => [title, group.title ?? '', sourceWords(row), ...valuesOf(row), row.note?.text ?? '']),
  );
  return [['Table', 'Group', 'Source', ...headings, 'Note'], ...lines]
    .map((line) => `${line.map(escapeCsv).join(',')}\r\n`)
    .join('');
}

/** A table as Markdown; own rows are bold. */
export function tableMarkdown(table: ResultTable): string {
  const { title, columns, groups } = table;
  const line = (fields: readonly string[]) => `| ${fields.join(' | ')} |`;
  const headings = [...columns.map(({ name }) => escapeMarkdown(name)), 'Source'];
  const rules = [...columns.map(({ kind }) => (kind === 'text' ? '---' : '---:')), '---'];
  const rows = groups.flatMap(({ title: group, rows }) => [
    ...(group === null ? [] : [line([`*${escapeMarkdown(group)}*`, ...headings.slice(1).map(() => '')])]),
    ...rows.map((row) => line(fieldsOf(row, escapeMarkdown, (text) => `**${text}**`))),
  ]);
  const head = [`### ${escapeMarkdown(title)}`, '', line(headings), line(rules)];
  return `${[...head, ...rows, '', ...allNotes(table).map((note) => `- ${escapeMarkdown(note)}`)].join('\n')}\n`;
}

/** A table as LaTeX, for the package booktabs; own rows are bold, and a last column says where a row comes from. */
export function tableLatex(table: ResultTable): string {
  const { name, title, columns, groups } = table;
  const width = columns.length + 1;
  const line = (fields: readonly string[]) => `    ${fields.join(' & ')} \\\\`;
  const rows = groups.flatMap(({ title: group, rows }) => [
    '    \\midrule',
    ...(group === null ? [] : [`    \\multicolumn{${width}}{l}{\\emph{${escapeLatex(group)}}} \\\\`]),
    ...rows.map((row) => line(fieldsOf(row, escapeLatex, (text) => `\\textbf{${text}}`))),
  ]);
  return [
    '\\begin{table}',
    '  \\centering',
    `  \\caption{${escapeLatex(title)}}`,
    `  \\label{tab:${name}}`,
    `  \\begin{tabular}{${columns.map(({ kind }) => (kind === 'text' ? 'l' : 'r')).join('')}l}`,
    '    \\toprule',
    line([...columns.map((column) => escapeLatex(column.name)), 'Source']),
    ...rows,
    '    \\bottomrule',
    '  \\end{tabular}',
    ...allNotes(table).map((note) => `  \\par\\footnotesize ${escapeLatex(note)}`),
    '\\end{table}',
    '',
  ].join('\n');
}

/** The cells of a row, own ones bold, and where it comes from. */
function fieldsOf(row: ResultRow, escaped: (text: string) => string, bold: (text: string) => string): string[] {
  const words = cellsWithNote(row).map((cell) => escaped(cellWords(cell)));
  return [...(row.source === 'measured' ? words.map(bold) : words), sourceWords(row)];
}

/** The cells of a row as tables show them: the first one with the number of the row's note. */
export function cellsWithNote({ cells, note }: ResultRow): readonly Cell[] {
  const [first = null, ...others] = cells;
  return note && first && !isFigure(first) ? [{ text: `${first.text} [${note.number}]` }, ...others] : cells;
}

/** A cell in one line, '61.2†* [59.7, 62.5]'; in narrow forms of a table the interval is below its value, or left out. */
function cellWords(cell: Cell, form: Form = 'one line'): string {
  if (cell === null) return '–';
  if (!isFigure(cell)) return form === 'one line' ? cell.text : wrap(cell.text, NARROW_TEXT);
  const { value, marks, best, interval, deviation } = cell;
  const spread = deviation === undefined ? '' : ` ± ${shown(deviation)}`;
  const figure = `${shown(value)}${spread}${marks.join('')}${best ? '*' : ''}`;
  if (interval === null || form === 'no interval') return figure;
  const [low, high] = [shown(interval.low), shown(interval.high)];
  return form === 'one line' ? `${figure} [${low}, ${high}]` : `${figure}\n${low}–${high}`;
}

/** All notes of a table, those of its rows included. */
export function allNotes({ notes, groups }: ResultTable): string[] {
  const rows = groups.flatMap((group) => group.rows);
  const ofRows = rows.flatMap(({ note }) => (note ? [`[${note.number}] ${note.text}`] : []));
  return [...notes, ...ofRows, '* best of its column among the values that may be compared.'];
}

function escapeCsv(value: string | number): string {
  const field = String(value);
  return /[",\r\n]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field;
}

/** Characters that Markdown gives a meaning, a table's bar among them. */
function escapeMarkdown(text: string): string {
  return text.replaceAll(/[\\`*_[\]<>|~#]/g, (character) => `\\${character}`).replaceAll('&', '&amp;');
}

const LATEX: Readonly<Record<string, string>> = {
  '\\': '\\textbackslash{}',
  '~': '\\textasciitilde{}',
  '^': '\\textasciicircum{}',
  '<': '\\textless{}',
  '>': '\\textgreater{}',
  '|': '\\textbar{}',
  '"': "''",
  '–': '--',
  '†': '\\textdagger{}',
  '‡': '\\textdaggerdbl{}',
  '[': '{[}',
  ']': '{]}',
};

/** Characters that LaTeX gives a meaning. */
function escapeLatex(text: string): string {
  return text.replaceAll(/[\\~^<>|"–†‡[\]#$%&_{}]/g, (character) => LATEX[character] ?? `\\${character}`);
}

export const TABLE_WRITERS = { csv: tableCsv, markdown: tableMarkdown, latex: tableLatex } as const;

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

/** From the widest form of a table to the narrowest. */
const FORMS = ['one line', 'two lines', 'no interval'] as const;
type Form = (typeof FORMS)[number];

/**
 * A table for a terminal. The best of each column has a star. With colour, published rows are dim and own rows bold;
 * without, a column says which they are where there are both. Where the terminal is narrow, borders go and intervals stand
 * below their values; where it is narrower still, they are left out, and at last every row is a list.
 * @param width columns of the terminal
 */
export function tableText(table: ResultTable, colour: boolean, width = USUAL_WIDTH): string {
  const bodies = FORMS.map((form) => ({ form, text: drawTable(table, colour, form) }));
  const fitting = bodies.find(({ text }) => text.split('\n').every((line) => visibleLength(line) <= width));
  const title = colour ? `\x1b[1m${table.title}\x1b[22m` : table.title;
  const notes = allNotes(table).map((note) => wrap(note, width));
  return [wrap(title, width), fitting?.text ?? drawLists(table, width), ...notes].join('\n');
}

function drawTable({ columns, groups }: ResultTable, colour: boolean, form: Form): string {
  const all = groups.flatMap(({ rows }) => rows);
  // Colours tell published rows from measured ones, but not what they share.
  const hasSource = all.some(({ source, shares }) => source === 'published' && (!colour || shares));
  const shownColumns = [...columns, ...(hasSource ? [{ name: 'Source', kind: 'text' as const }] : [])];
  const narrow = { style: { ...PLAIN, 'padding-left': 0, 'padding-right': 0 }, chars: NO_SIDES };
  const drawn = new Table({
    head: shownColumns.map(({ name }) => name),
    colAligns: shownColumns.map(({ kind }) => (kind === 'text' ? 'left' : 'right')),
    ...(form === 'one line' ? { style: PLAIN } : narrow),
  });
  for (const { title, rows } of groups) {
    if (title !== null)
      drawn.push([{ colSpan: shownColumns.length, content: colour ? `\x1b[3m${title}\x1b[23m` : title }]);
    for (const row of rows)
      drawn.push([...rowWords(row, colour, form), ...(hasSource ? [cellWords({ text: sourceWords(row) }, form)] : [])]);
  }
  return drawn.toString();
}

function rowWords(row: ResultRow, colour: boolean, form: Form): string[] {
  const words = cellsWithNote(row).map((cell) => cellWords(cell, form));
  if (!colour) return words;
  const on = row.source === 'published' ? '\x1b[2m' : '\x1b[1m';
  // Each line of a cell by itself, because borders stand between them.
  return words.map((word) => word.replaceAll(/^.*$/gm, `${on}$&\x1b[22m`));
}

/** Every row as a heading and a line for each value. */
function drawLists({ columns, groups }: ResultTable, width: number): string {
  const lines = groups.flatMap(({ title, rows }) => [
    ...(title === null ? [] : [`${title}:`]),
    ...rows.flatMap((row) => {
      const words = cellsWithNote(row).map((cell) => cellWords(cell));
      const wordsOf = (isFact: boolean) =>
        columns.flatMap(({ name, kind }, at) => ((kind === 'text') === isFact ? [{ name, text: words[at] }] : []));
      const facts = wordsOf(true).map(({ name, text }) => (name === 'Epochs' ? `${text} epochs` : text));
      const values = wordsOf(false).map(({ name, text }) => `  ${name}: ${text}`);
      return [wrap(`${facts.join(', ')} (${sourceWords(row)})`, width), ...values];
    }),
  ]);
  return lines.join('\n');
}

function visibleLength(line: string): number {
  return stripVTControlCharacters(line).length;
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
