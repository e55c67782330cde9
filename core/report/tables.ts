import type { EvaluationKind, EvaluationResult } from '../eval/result.js';
import { dataSetTables } from './data-set-tables.js';
import {
  archName,
  choiceOfHeads,
  chooseResult,
  describeNetwork,
  isPapers,
  logisticNote,
  measuredCell,
  methodName,
  type NetworkRow,
  networkRows,
  protocolNotes,
  tuningNote,
} from './network-rows.js';
import { missingPart, PAPER_TASKS, paperTask } from './paper-tasks.js';
import {
  type FactName,
  PUBLISHED_SOURCE,
  PUBLISHED_TABLES,
  type PublishedGroup,
  type PublishedTable,
  type TaskName,
} from './published.js';
import {
  type Cell,
  INTERVAL_NOTE,
  type Mark,
  markBest,
  type ResultRow,
  type ResultTable,
  textCell,
} from './result-table.js';

const FACT_HEADINGS: Readonly<Record<FactName, string>> = {
  method: 'Method',
  arch: 'Arch.',
  epochs: 'Epochs',
  pretrain: 'Pretrain',
};

/**
 * The paper's tables with own results as rows of them, then a table for each other data set.
 *
 * A result stands in a column of the paper only if it is of the same data set with the same classes. Results of the quick
 * protocol or on a part of the data set are marked, and never compete for the best of a column.
 * @param kinds the kinds of tables that are wanted; all where it is left out
 */
export function evaluationTables(
  results: readonly EvaluationResult[],
  kinds: readonly EvaluationKind[] = ['linear', 'semi-supervised', 'transfer'],
): ResultTable[] {
  const wanted = results.filter(({ kind }) => kinds.includes(kind));
  const published = PUBLISHED_TABLES.filter(({ kind }) => kinds.includes(kind));
  return [
    ...published.map((table) => paperTable(table, wanted)),
    ...dataSetTables(wanted.filter((result) => paperTask(result) === null)),
  ];
}

function paperTable(table: PublishedTable, results: readonly EvaluationResult[]): ResultTable {
  const { facts, tasks } = table;
  const isOfTable = (result: EvaluationResult) => tasks.some((task) => task === paperTask(result));
  const own = networkRows(results.filter(isOfTable)).map((row) => ({ ...row, shown: shownResults(row, tasks) }));
  const measured = own.map(
    (row, index): ResultRow => ({
      source: 'measured',
      cells: [
        ...facts.map((name) => textCell(ownFact(row.network, name))),
        ...tasks.map((task, at) => ownCell(task, row.shown[at])),
      ],
      note: { number: index + 1, text: `${describeNetwork(row.network)}${restOfNote(row)}.` },
    }),
  );
  const groups = table.groups.map((group, at) => ({
    title: group.title,
    rows: [...publishedRows(group, facts.length), ...(at === table.ownGroup ? measured : [])],
  }));
  return {
    name: table.name,
    title: `Table ${table.number} of the paper: ${table.title}; percent top-1`,
    columns: [
      ...facts.map((fact) => ({ name: FACT_HEADINGS[fact], kind: 'text' as const })),
      ...tasks.map((task) => ({ name: PAPER_TASKS[task].heading, kind: 'figure' as const })),
    ],
    groups: markBest(groups, ({ marks }) => marks.length === 0),
    notes: paperNotes(tasks, own),
  };
}

/** The result of a row for each task. */
function shownResults({ results }: NetworkRow, tasks: readonly TaskName[]): (EvaluationResult | null)[] {
  return tasks.map((task) => chooseResult(results.filter((result) => paperTask(result) === task)));
}

function publishedRows({ rows }: PublishedGroup, facts: number): ResultRow[] {
  const cell = (value: string | number, at: number): Cell =>
    at < facts ? textCell(value) : { value: Number(value), interval: null, marks: [], best: false };
  return rows.map((row) => ({ source: 'published', cells: row.map(cell) }));
}

function ownFact(network: EvaluationResult['network'], fact: FactName): string {
  if (fact === 'method') return methodName(network);
  if (fact === 'arch') return archName(network);
  const isRandom = network.weights === 'random';
  if (fact === 'epochs') return isRandom ? '0' : String(network.epochs ?? 'unknown');
  return isRandom ? 'none (random initialisation)' : (network.pretrainedOn ?? 'unknown');
}

function ownCell(task: TaskName, result: EvaluationResult | null | undefined): Cell {
  if (!result) return null;
  const marks: Mark[] = [];
  if (!isPapers(result)) marks.push('†');
  if (missingPart(task, result) !== null) marks.push('‡');
  return measuredCell(result.best.top1, marks);
}

function paperNotes(
  tasks: readonly TaskName[],
  own: readonly (NetworkRow & { shown: readonly (EvaluationResult | null)[] })[],
): string[] {
  const source = `Published values are those of ${PUBLISHED_SOURCE}; this program did not measure them.`;
  if (own.length === 0) return [source];
  const shown = own.flatMap((row) => row.shown).filter((result) => result !== null);
  const parts = tasks.flatMap((task, at) =>
    own.flatMap((row) => {
      const result = row.shown[at];
      return result ? (missingPart(task, result) ?? []) : [];
    }),
  );
  return [
    source,
    INTERVAL_NOTE,
    ...protocolNotes(shown),
    `Top-1: ${choiceOfHeads(shown)}`,
    ...(parts.length > 0 ? [`‡ measured on a part of the data set (${[...new Set(parts)].join('; ')}).`] : []),
  ];
}

/** What else has to be known of a network's row. */
function restOfNote({ results, shown }: NetworkRow & { shown: readonly (EvaluationResult | null)[] }): string {
  const used = shown.filter((result) => result !== null);
  const others = results.length - used.length;
  return (
    [...new Set(used.map(tuningNote))].join('') +
    used.map((result) => `${logisticNote(result)}`).join('') +
    (others > 0 ? `; other results of it that are not shown: ${others}` : '')
  );
}
