import { accuracyOf } from '../eval/accuracy.js';
import type { EvaluationResult } from '../eval/results.js';
import type { EvaluationFacts, TableFacts } from './facts.js';
import { type Cell, isFigure, printable, type ResultTable, shown } from './result-table.js';
import { allNotes, cellsWithNote } from './table-formats.js';

/** A table of results in the form of pages. */
export function tableFacts(table: ResultTable): TableFacts {
  return {
    title: table.title,
    columns: table.columns.map(({ name, kind }) => ({ name, isFigure: kind !== 'text' })),
    groups: table.groups.map(({ title, rows }) => ({
      title,
      rows: rows.map((row) => ({ isPublished: row.source === 'published', cells: cellsWithNote(row).map(cellFacts) })),
    })),
    notes: allNotes(table),
  };
}

function cellFacts(cell: Cell) {
  if (cell === null) return { text: '–', interval: null, isBest: false };
  if (!isFigure(cell)) return { text: cell.text, interval: null, isBest: false };
  const { value, marks, interval, best, deviation } = cell;
  const spread = deviation === undefined ? '' : ` ± ${shown(deviation)}`;
  return {
    text: `${shown(value)}${spread}${marks.join('')}${best ? '*' : ''}`,
    interval: interval && `${shown(interval.low)}–${shown(interval.high)}`,
    isBest: best,
  };
}

/** A result of a run in the form of pages. */
export function evaluationFacts(run: string, result: EvaluationResult): EvaluationFacts {
  const { best, compute, confusion = null, dataSet, kind, protocolName } = result;
  const title = printable(`${dataSet}, ${kind}, ${protocolName} protocol`);
  return { run, title, top1: best.top1, compute, confusion: confusion && withAccuracies(confusion) };
}

function withAccuracies({ classes, counts }: NonNullable<EvaluationResult['confusion']>) {
  const accuracies = counts.map((row, at) => {
    const images = row.reduce((sum, count) => sum + count, 0);
    return images === 0 ? null : accuracyOf((100 * row[at]) / images, images);
  });
  return { classes, counts, accuracies };
}
