import {
  allNotes,
  cellsWithNote,
  cellWords,
  isFigure,
  MARK_WORDS,
  type ResultRow,
  type ResultTable,
} from './result-table.js';

/**
 * A table as CSV (RFC 4180) with a header: the table's title, the group, the source, then the columns. A column of
 * figures becomes four: value, both ends of its interval, and what its marks say. The last column is the row's note.
 */
export function tableCsv({ title, columns, groups }: ResultTable): string {
  const headings = columns.flatMap(({ kind, name }) =>
    kind === 'text' ? [name] : [name, `${name} low`, `${name} high`, `${name} remarks`],
  );
  const valuesOf = ({ cells }: ResultRow) =>
    columns.flatMap(({ kind }, at) => {
      const cell = cells[at] ?? null;
      if (kind === 'text') return [cell !== null && !isFigure(cell) ? cell.text : ''];
      if (!isFigure(cell)) return ['', '', '', ''];
      const { value, interval, marks } = cell;
      return [value, interval?.low ?? '', interval?.high ?? '', marks.map((mark) => MARK_WORDS[mark]).join('; ')];
    });
  const lines = groups.flatMap((group) =>
    group.rows.map((row) => [title, group.title ?? '', row.source, ...valuesOf(row), row.note?.text ?? '']),
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
  const rules = [...columns.map(({ kind }) => (kind === 'figure' ? '---:' : '---')), '---'];
  const rows = groups.flatMap(({ title: group, rows }) => [
    ...(group === null ? [] : [line([`*${escapeMarkdown(group)}*`, ...headings.slice(1).map(() => '')])]),
    ...rows.map((row) => {
      const { source } = row;
      const bold = (text: string) => (source === 'measured' ? `**${text}**` : text);
      return line([...cellsWithNote(row).map((cell) => bold(escapeMarkdown(cellWords(cell)))), source]);
    }),
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
    ...rows.map((row) => {
      const { source } = row;
      const bold = (text: string) => (source === 'measured' ? `\\textbf{${text}}` : text);
      return line([...cellsWithNote(row).map((cell) => bold(escapeLatex(cellWords(cell)))), source]);
    }),
  ]);
  return [
    '\\begin{table}',
    '  \\centering',
    `  \\caption{${escapeLatex(title)}}`,
    `  \\label{tab:${name}}`,
    `  \\begin{tabular}{${columns.map(({ kind }) => (kind === 'figure' ? 'r' : 'l')).join('')}l}`,
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
