import { usualNeighbours } from '../eval/classifiers.js';
import type { EvaluationResult } from '../eval/results.js';
import type { SegmentationResult } from '../eval/segmentation-file.js';
import type { FactName, PublishedResults, PublishedTable } from '../methods/published.js';
import { measuresTables } from './measures-table.js';
import {
  archName,
  benchmarkHeading,
  benchmarkOf,
  chooseResult,
  describeNetwork,
  FACTS,
  groupBy,
  networkRows,
  OWN_FACTS,
  taskOf,
  thousands,
} from './network-rows.js';
import {
  type Cell,
  figureCell,
  markBest,
  printable,
  type ResultRow,
  type ResultTable,
  type RowGroup,
  textCell,
} from './result-table.js';
import { segmentationTables } from './segmentation-table.js';
import { bestHead, featuresNote, logisticNote, marksOf, neighboursNote, notesOf, tuningNote } from './table-notes.js';

type Network = EvaluationResult['network'];
type PublishedRow = PublishedTable['groups'][number]['rows'][number];

/** Figures of data sets that are not the paper's; the first two are of the best head. */
const OWN_FIGURES = ['Top-1', 'Top-5', 'Logistic', 'Ridge', 'kNN'];

const KIND_NAMES = { linear: 'linear evaluation', 'semi-supervised': 'few labels', transfer: 'linear-probe transfer' };

/**
 * A paper's tables with own results as rows of them, then a table for each other data set: results of the same kind on the
 * same images. What else was measured follows, by data set, and segmentation that was measured by itself.
 *
 * A result stands in a column of the paper only if it is of the same data set with the same classes. Results of the quick
 * protocol or on a part of the data set are marked, and never compete for the best of a column.
 */
export function evaluationTables(
  results: readonly EvaluationResult[],
  published: PublishedResults,
  segmentations: readonly SegmentationResult[] = [],
): ResultTable[] {
  const others = results.filter((result) => benchmarkOf(result) === null);
  const tasks = groupBy(others, taskOf);
  const papers = published.tables.map((table) => paperTable(table, published.source, results));
  const more = [...measuresTables(results), ...segmentationTables(segmentations)];
  return [...papers, ...[...tasks.values()].map(dataSetTable), ...more];
}

function paperTable(table: PublishedTable, source: string, results: readonly EvaluationResult[]): ResultTable {
  const { facts, benchmarks, method: only } = table;
  const ofBenchmarks = results.filter((result) => benchmarks.some((name) => name === benchmarkOf(result)));
  // Where all rows are of one method, random weights stand beside that method alone.
  const isItsTable = only === null || ofBenchmarks.some(({ network }) => network.method === only);
  const isItsRow = ({ network: { method } }: EvaluationResult) => only === null || method === null || method === only;
  const ofTable = isItsTable ? ofBenchmarks.filter(isItsRow) : [];
  const own = networkRows(ofTable).map((results) => {
    const { network } = results[0];
    const cells = benchmarks.map((name) => chooseResult(results.filter((result) => benchmarkOf(result) === name)));
    return { network, count: results.length, cells, used: cells.filter((result) => result !== null) };
  });
  const shownResults = own.flatMap(({ used }) => used);
  const measured = own.map(({ network, count, cells, used }, at): ResultRow => {
    const others = count - used.length;
    const more = others > 0 ? `; other results of it that are not shown: ${others}` : '';
    const features = [...new Set(used.map(featuresNote))];
    const notes = [
      describeNetwork(network),
      ...features,
      ...new Set(used.map(tuningNote)),
      ...used.map(logisticNote),
      more,
    ];
    return {
      source: 'measured',
      cells: [
        ...facts.map((fact) => textCell(FACTS[fact].of(network))),
        ...cells.map((result) => result && figureCell(result.best.top1, marksOf(result))),
      ],
      note: { number: at + 1, text: `${notes.join('')}.` },
    };
  });
  const groups = table.groups.map(({ title, rows }, at) => {
    const copied = rows.map((row): ResultRow => {
      const cells = row.map((value, column) => (column < facts.length ? textCell(value) : figureCell(Number(value))));
      return {
        source: 'published',
        cells,
        ...sharedWith(
          own.map(({ network }) => network),
          table,
          row,
        ),
      };
    });
    return { title, rows: at === 0 ? [...copied, ...measured] : copied };
  });
  return {
    name: table.name,
    title: `Table ${table.number} of the paper: ${table.title}; percent top-1`,
    columns: columnsOf(facts, benchmarks.map(benchmarkHeading)),
    groups: markBest(groups, ({ marks }) => marks.length === 0),
    notes: [
      `Published values are those of ${source}; this program did not measure them.`,
      ...notesOf('Top-1', shownResults),
    ],
  };
}

/** What a published row shares with networks of the same table. */
function sharedWith(networks: readonly Network[], { facts, method: only }: PublishedTable, row: PublishedRow) {
  const factOf = (name: FactName) => row[facts.indexOf(name)];
  const same = networks.filter(({ method }) => method !== null && method === (factOf('method') ?? only));
  if (same.length === 0) return {};
  const hasBackbone = same.some((network) => archName(network) === factOf('arch'));
  return { shares: hasBackbone ? ('method and backbone' as const) : ('method' as const) };
}

function dataSetTable(results: readonly EvaluationResult[]): ResultTable {
  const { kind, dataSet, dataDescription, classes, trainImages, testImages } = results[0];
  const measured = networkRows(results).flat();
  const rows = measured.map((result, at): ResultRow => {
    const note = { number: at + 1, text: `${describeNetwork(result.network)}${bestHead(result)}.` };
    return { source: 'measured', cells: cellsOf(result), note };
  });
  const protocols = groupBy(measured, (one) => `${one.protocolName} ${one.selection} ${one.fineTuning?.protocol}`);
  // The heads of two protocols are not compared.
  const firstCompared = protocols.size === 1 ? 0 : OWN_FACTS.length + 2;
  const images = `${thousands(trainImages)} training and ${thousands(testImages)} test images`;
  return {
    name: `${dataSet}-${kind}`.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-'),
    title: printable(`${dataSet}, ${KIND_NAMES[kind]}: ${classes} classes, ${images}; percent`),
    columns: columnsOf(OWN_FACTS, OWN_FIGURES),
    groups: [
      ...markBest([{ title: null, rows }], (_, column) => column >= firstCompared),
      ...pixelRows(measured), // never the best: pixels say nothing of a network
    ],
    notes: [
      `Not a data set of the paper's tables: ${printable(dataDescription)}. All values were measured by this program.`,
      ...notesOf('Top-1, top-5', measured),
      ...(measured.some(({ logistic }) => logistic !== null)
        ? ['Logistic: features and C chosen on held-out training images; ridge: its regularisation likewise.']
        : []),
      ...neighboursNote(measured),
    ],
  };
}

function columnsOf(facts: readonly FactName[], figures: readonly string[]): ResultTable['columns'] {
  const texts = facts.map((fact) => ({ name: FACTS[fact].heading, kind: 'text' as const }));
  return [...texts, ...figures.map((name) => ({ name, kind: 'figure' as const }))];
}

function cellsOf(result: EvaluationResult): Cell[] {
  const { network, best, logistic, ridge, neighbours } = result;
  return [
    ...OWN_FACTS.map((fact) => textCell(FACTS[fact].of(network))),
    ...[best.top1, best.top5].map((accuracy) => figureCell(accuracy, marksOf(result))),
    ...[logistic, ridge, usualNeighbours(neighbours)].map((found) => (found ? figureCell(found.top1) : null)),
  ];
}

/** A row of what needs no network, where it was measured. */
function pixelRows(results: readonly EvaluationResult[]): RowGroup[] {
  const found = results.map((result) => usualNeighbours(result.pixelNeighbours)).find((value) => value !== undefined);
  if (!found) return [];
  const empty = Array<Cell>(OWN_FACTS.length + OWN_FIGURES.length - 2).fill(null);
  const cells = [textCell('raw pixels'), ...empty, figureCell(found.top1)];
  return [{ title: null, rows: [{ source: 'measured', cells }] }];
}
