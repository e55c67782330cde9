import type { EvaluationResult } from '../eval/results.js';
import { thousands } from './benchmarks.js';
import {
  archName,
  choiceNotes,
  describeNetwork,
  epochsOf,
  groupBy,
  logisticNote,
  methodName,
  networkRows,
  protocolMarks,
  protocolNotes,
  tuningNote,
} from './network-rows.js';
import {
  type Cell,
  figureCell,
  INTERVAL_NOTE,
  markBest,
  printable,
  type ResultTable,
  type RowGroup,
  textCell,
} from './result-table.js';

type Neighbours = EvaluationResult['neighbours'];

/** The number of neighbours that is shown where it was measured (Caron et al. 2021). */
const USUAL_NEIGHBOURS = 20;

const FACTS = ['Method', 'Arch.', 'Epochs'];
/** The first two are of the best head. */
const FIGURES = ['Top-1', 'Top-5', 'Logistic', 'Ridge', 'kNN'];

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
  const rows = measured.map((result, at) => ({
    source: 'measured' as const,
    cells: cellsOf(result),
    note: { number: at + 1, text: `${describeNetwork(result.network)}${bestHead(result)}.` },
  }));
  const protocols = measured.map(
    ({ protocolName, selection, fineTuning }) => `${protocolName} ${selection} ${fineTuning?.protocol}`,
  );
  // The heads of two protocols are not compared.
  const firstCompared = new Set(protocols).size === 1 ? 0 : FACTS.length + 2;
  const images = `${thousands(trainImages)} training and ${thousands(testImages)} test images`;
  return {
    name: `${dataSet}-${kind}`.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-'),
    title: printable(`${dataSet}, ${KIND_NAMES[kind]}: ${classes} classes, ${images}; percent`),
    columns: [
      ...FACTS.map((name) => ({ name, kind: 'text' as const })),
      ...FIGURES.map((name) => ({ name, kind: 'figure' as const })),
    ],
    groups: [
      ...markBest([{ title: null, rows }], (_, column) => column >= firstCompared),
      ...pixelRows(measured), // never the best: pixels say nothing of a network
    ],
    notes: [
      `Not a data set of the paper's tables: ${printable(dataDescription)}. All values were measured by this program.`,
      INTERVAL_NOTE,
      ...protocolNotes(measured),
      ...choiceNotes('Top-1, top-5', measured),
      ...(measured.some(({ logistic }) => logistic !== null)
        ? ['Logistic: features and C chosen on held-out training images; ridge: its regularisation likewise.']
        : []),
      ...neighboursNote(measured),
    ],
  };
}

function cellsOf(result: EvaluationResult): Cell[] {
  const { network, best, logistic, ridge } = result;
  return [
    ...[methodName(network), archName(network), epochsOf(network)].map(textCell),
    ...[best.top1, best.top5].map((accuracy) => figureCell(accuracy, protocolMarks(result))),
    ...[logistic, ridge, usualNeighbours(result.neighbours)].map((found) => (found ? figureCell(found.top1) : null)),
  ];
}

/** A row of what needs no network, where it was measured. */
function pixelRows(results: readonly EvaluationResult[]): RowGroup[] {
  const found = results.map((result) => usualNeighbours(result.pixelNeighbours)).find((value) => value !== undefined);
  if (!found) return [];
  const empty = Array<Cell>(FACTS.length + FIGURES.length - 2).fill(null);
  const cells = [textCell('raw pixels'), ...empty, figureCell(found.top1)];
  return [{ title: null, rows: [{ source: 'measured', cells }] }];
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
