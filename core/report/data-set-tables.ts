import type { Accuracies, EvaluationResult } from '../eval/result.js';
import {
  archName,
  choiceOfHeads,
  describeNetwork,
  groupBy,
  isPapers,
  logisticNote,
  measuredCell,
  methodName,
  networkRows,
  protocolNotes,
  tuningNote,
} from './network-rows.js';
import { thousands } from './paper-tasks.js';
import {
  type Cell,
  INTERVAL_NOTE,
  type Mark,
  markBest,
  printable,
  type ResultRow,
  type ResultTable,
  type RowGroup,
  textCell,
} from './result-table.js';

type Neighbours = EvaluationResult['neighbours'];

/** The number of neighbours that is shown where it was measured (Caron et al. 2021). */
const USUAL_NEIGHBOURS = 20;

const COLUMNS = [
  ...['Method', 'Arch.', 'Epochs'].map((name) => ({ name, kind: 'text' as const })),
  ...['Top-1', 'Top-5', 'Logistic', 'Ridge', 'kNN'].map((name) => ({ name, kind: 'figure' as const })),
];
const [TOP1, TOP5] = ['Top-1', 'Top-5'].map((wanted) => COLUMNS.findIndex(({ name }) => name === wanted)) as [
  number,
  number,
];

const KIND_NAMES = { linear: 'linear evaluation', 'semi-supervised': 'few labels', transfer: 'linear-probe transfer' };

/** A table for each data set that is not the paper's: results of the same kind on the same images. */
export function dataSetTables(results: readonly EvaluationResult[]): ResultTable[] {
  const tasks = groupBy(results, ({ kind, dataSet, dataDescription, classes, trainImages, testImages }) =>
    JSON.stringify([kind, dataSet, dataDescription, classes, trainImages, testImages]),
  );
  return [...tasks.values()].map(dataSetTable);
}

function dataSetTable(results: readonly EvaluationResult[]): ResultTable {
  const { kind, dataSet, dataDescription, classes, trainImages, testImages } = results[0] as EvaluationResult;
  const measured = networkRows(results).flatMap((row) => row.results);
  const rows = measured.map(
    (result, index): ResultRow => ({
      source: 'measured',
      cells: cellsOf(result),
      note: { number: index + 1, text: `${describeNetwork(result.network)}${bestHead(result)}.` },
    }),
  );
  const isOneProtocol = new Set(measured.map(protocolsOf)).size === 1;
  // The heads of two protocols are not compared.
  const competes = (column: number) => (column === TOP1 || column === TOP5 ? isOneProtocol : true);
  const images = `${thousands(trainImages)} training and ${thousands(testImages)} test images`;
  return {
    name: `${dataSet}-${kind}`.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-'),
    title: printable(`${dataSet}, ${KIND_NAMES[kind]}: ${classes} classes, ${images}; percent`),
    columns: COLUMNS,
    groups: [
      ...markBest([{ title: null, rows }], (_, column) => competes(column)),
      ...pixelRows(measured), // never the best: pixels say nothing of a network
    ],
    notes: [
      `Not a data set of the paper's tables: ${printable(dataDescription)}. All values were measured by this program.`,
      INTERVAL_NOTE,
      ...protocolNotes(measured),
      ...choiceNotes(measured),
      ...neighboursNote(measured),
    ],
  };
}

function protocolsOf({ protocolName, selection, fineTuning }: EvaluationResult): string {
  return `${protocolName} ${selection} ${fineTuning?.protocol}`;
}

function cellsOf(result: EvaluationResult): Cell[] {
  const { network, best, logistic, ridge } = result;
  const epochs = network.weights === 'random' ? 0 : (network.epochs ?? 'unknown');
  const marks: Mark[] = isPapers(result) ? [] : ['†'];
  const top1 = (measured: Accuracies | null | undefined): Cell => (measured ? measuredCell(measured.top1, []) : null);
  return [
    textCell(methodName(network)),
    textCell(archName(network)),
    textCell(epochs),
    measuredCell(best.top1, marks),
    measuredCell(best.top5, marks),
    top1(logistic),
    top1(ridge),
    top1(usualNeighbours(result.neighbours)),
  ];
}

/** A row of what needs no network, where it was measured. */
function pixelRows(results: readonly EvaluationResult[]): RowGroup[] {
  const found = results.map((result) => usualNeighbours(result.pixelNeighbours)).find((value) => value !== undefined);
  if (!found) return [];
  const cells = COLUMNS.map(({ name }): Cell => (name === 'kNN' ? measuredCell(found.top1, []) : null));
  return [{ title: null, rows: [{ source: 'measured', cells: [textCell('raw pixels'), ...cells.slice(1)] }] }];
}

/** How heads and the logistic regression were chosen. */
function choiceNotes(results: readonly EvaluationResult[]): string[] {
  const heads = choiceOfHeads(results);
  const logistic = results.some((result) => result.logistic !== null);
  return [
    ...(heads === null ? [] : [`Top-1, top-5: ${heads}`]),
    ...(logistic
      ? ['Logistic: features and C chosen on held-out training images; ridge: its regularisation likewise.']
      : []),
  ];
}

/** One k for all: which of them happens to be best on the test images plays no part. */
function usualNeighbours(neighbours: Neighbours): Neighbours[number] | undefined {
  return neighbours.find(({ k }) => k === USUAL_NEIGHBOURS) ?? neighbours[0];
}

function neighboursNote(results: readonly EvaluationResult[]): string[] {
  const used = results.flatMap(({ neighbours, pixelNeighbours }) =>
    [usualNeighbours(neighbours)?.k, usualNeighbours(pixelNeighbours)?.k].filter((k) => k !== undefined),
  );
  if (used.length === 0) return [];
  const ks = [...new Set(used)].join(' or ');
  return [`kNN: k = ${ks} nearest neighbours by their features, without training; those of raw pixels by the pixels.`];
}

function bestHead(result: EvaluationResult): string {
  const chosen = result.selection === 'test' ? 'the test images' : 'held-out images';
  const { name } = result.best;
  return printable(`; best head: ${name}, chosen on ${chosen}${logisticNote(result)}${tuningNote(result)}`);
}
