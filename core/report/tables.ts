import type { EvaluationResult } from '../eval/result.js';
import type { BenchmarkName, FactName, PublishedResults, PublishedTable } from '../methods/published.js';
import { benchmarkHeading, benchmarkOf, missingPart } from './benchmarks.js';
import { dataSetTables } from './data-set-tables.js';
import {
  archName,
  choiceNotes,
  chooseResult,
  describeNetwork,
  epochsOf,
  logisticNote,
  methodName,
  networkRows,
  protocolMarks,
  protocolNotes,
  tuningNote,
} from './network-rows.js';
import { figureCell, INTERVAL_NOTE, markBest, type ResultRow, type ResultTable, textCell } from './result-table.js';

type Network = EvaluationResult['network'];

/** A column of text: its heading, and what stands there of a measured network. */
const FACTS: Readonly<Record<FactName, { heading: string; of: (network: Network) => string }>> = {
  method: { heading: 'Method', of: methodName },
  arch: { heading: 'Arch.', of: archName },
  epochs: { heading: 'Epochs', of: epochsOf },
  pretrain: {
    heading: 'Pretrain',
    of: ({ weights, pretrainedOn }) =>
      weights === 'random' ? 'none (random initialisation)' : (pretrainedOn ?? 'unknown'),
  },
};

/** The results of a network that a table shows, and what they lack of their benchmarks' images. */
interface ShownRow {
  network: Network;
  cells: readonly { result: EvaluationResult | null; missing: string | null }[];
  /** Results of the table's benchmarks, shown or not. */
  results: readonly EvaluationResult[];
}

/**
 * A paper's tables with own results as rows of them, then a table for each other data set.
 *
 * A result stands in a column of the paper only if it is of the same data set with the same classes. Results of the quick
 * protocol or on a part of the data set are marked, and never compete for the best of a column.
 */
export function evaluationTables(results: readonly EvaluationResult[], published: PublishedResults): ResultTable[] {
  return [
    ...published.tables.map((table) => paperTable(table, published.source, results)),
    ...dataSetTables(results.filter((result) => benchmarkOf(result) === null)),
  ];
}

function paperTable(table: PublishedTable, source: string, results: readonly EvaluationResult[]): ResultTable {
  const { facts, benchmarks } = table;
  const own = shownRows(benchmarks, results);
  const measured = own.map(
    (row, at): ResultRow => ({
      source: 'measured',
      cells: [
        ...facts.map((fact) => textCell(FACTS[fact].of(row.network))),
        ...row.cells.map(({ result, missing }) => {
          const marks = result ? [...protocolMarks(result), ...(missing ? (['‡'] as const) : [])] : [];
          return result && figureCell(result.best.top1, marks);
        }),
      ],
      note: { number: at + 1, text: `${describeNetwork(row.network)}${restOfNote(row)}.` },
    }),
  );
  const groups = table.groups.map(({ title, rows }, at) => ({
    title,
    rows: [
      ...rows.map(
        (row): ResultRow => ({
          source: 'published',
          cells: row.map((value, column) => (column < facts.length ? textCell(value) : figureCell(Number(value)))),
        }),
      ),
      ...(at === 0 ? measured : []),
    ],
  }));
  return {
    name: table.name,
    title: `Table ${table.number} of the paper: ${table.title}; percent top-1`,
    columns: [
      ...facts.map((fact) => ({ name: FACTS[fact].heading, kind: 'text' as const })),
      ...benchmarks.map((name) => ({ name: benchmarkHeading(name), kind: 'figure' as const })),
    ],
    groups: markBest(groups, ({ marks }) => marks.length === 0),
    notes: [
      `Published values are those of ${source}; this program did not measure them.`,
      ...(own.length > 0 ? ownNotes(own) : []),
    ],
  };
}

/** A row for each network that has results on some of the benchmarks. */
function shownRows(benchmarks: readonly BenchmarkName[], results: readonly EvaluationResult[]): ShownRow[] {
  const ofTable = results.filter((result) => benchmarks.some((name) => name === benchmarkOf(result)));
  return networkRows(ofTable).map((row) => ({
    ...row,
    cells: benchmarks.map((name) => {
      const result = chooseResult(row.results.filter((one) => benchmarkOf(one) === name));
      return { result, missing: result && missingPart(name, result) };
    }),
  }));
}

function ownNotes(own: readonly ShownRow[]): string[] {
  const shown = own.flatMap(({ cells }) => cells.map(({ result }) => result)).filter((result) => result !== null);
  const parts = new Set(
    own.flatMap(({ cells }) => cells.map(({ missing }) => missing)).filter((part) => part !== null),
  );
  return [
    INTERVAL_NOTE,
    ...protocolNotes(shown),
    ...choiceNotes('Top-1', shown),
    ...(parts.size > 0 ? [`‡ measured on a part of the data set (${[...parts].join('; ')}).`] : []),
  ];
}

/** What else has to be known of a network's row. */
function restOfNote({ results, cells }: ShownRow): string {
  const used = cells.map(({ result }) => result).filter((result) => result !== null);
  const others = results.length - used.length;
  return (
    [...new Set(used.map(tuningNote)), ...used.map(logisticNote)].join('') +
    (others > 0 ? `; other results of it that are not shown: ${others}` : '')
  );
}
