import { usualNeighbours } from '../eval/classifiers.js';
import type { EvaluationResult } from '../eval/results.js';
import type { FactName, PublishedResults, PublishedTable } from '../methods/published.js';
import {
  archName,
  benchmarkHeading,
  benchmarkOf,
  chooseResult,
  describeNetwork,
  groupBy,
  isPapers,
  methodName,
  missingPart,
  networkRows,
  thousands,
} from './network-rows.js';
import {
  type Cell,
  figureCell,
  type Mark,
  markBest,
  printable,
  type ResultRow,
  type ResultTable,
  type RowGroup,
  shown,
  textCell,
} from './result-table.js';

type Network = EvaluationResult['network'];

/** A column of text: its heading, and what stands there of a measured network. */
const FACTS: Readonly<Record<FactName, { heading: string; of: (network: Network) => string }>> = {
  method: { heading: 'Method', of: methodName },
  arch: { heading: 'Arch.', of: archName },
  epochs: { heading: 'Epochs', of: ({ weights, epochs }) => (weights === 'random' ? '0' : `${epochs ?? 'unknown'}`) },
  pretrain: {
    heading: 'Pretrain',
    of: ({ weights, pretrainedOn }) =>
      weights === 'random' ? 'none (random initialisation)' : (pretrainedOn ?? 'unknown'),
  },
};

/** Columns of data sets that are not the paper's; the first two figures are of the best head. */
const OWN_FACTS = ['method', 'arch', 'epochs'] as const;
const OWN_FIGURES = ['Top-1', 'Top-5', 'Logistic', 'Ridge', 'kNN'];

const KIND_NAMES = { linear: 'linear evaluation', 'semi-supervised': 'few labels', transfer: 'linear-probe transfer' };
const CHOICES = {
  test: 'the best head of the grid was chosen on the test images, as the paper does, which favours it',
  validation: 'the best head of the grid was chosen on a held-out tenth of the training images, then trained on all',
} as const;

/**
 * A paper's tables with own results as rows of them, then a table for each other data set: results of the same kind on the
 * same images.
 *
 * A result stands in a column of the paper only if it is of the same data set with the same classes. Results of the quick
 * protocol or on a part of the data set are marked, and never compete for the best of a column.
 */
export function evaluationTables(results: readonly EvaluationResult[], published: PublishedResults): ResultTable[] {
  const others = results.filter((result) => benchmarkOf(result) === null);
  const tasks = groupBy(others, ({ kind, dataSet, dataDescription, classes, trainImages, testImages }) =>
    JSON.stringify([kind, dataSet, dataDescription, classes, trainImages, testImages]),
  );
  const papers = published.tables.map((table) => paperTable(table, published.source, results));
  return [...papers, ...[...tasks.values()].map(dataSetTable)];
}

function paperTable(table: PublishedTable, source: string, results: readonly EvaluationResult[]): ResultTable {
  const { facts, benchmarks } = table;
  const ofTable = results.filter((result) => benchmarks.some((name) => name === benchmarkOf(result)));
  const own = networkRows(ofTable).map((results) => {
    const { network } = results[0];
    const cells = benchmarks.map((name) => chooseResult(results.filter((result) => benchmarkOf(result) === name)));
    return { network, count: results.length, cells, used: cells.filter((result) => result !== null) };
  });
  const shownResults = own.flatMap(({ used }) => used);
  const measured = own.map(({ network, count, cells, used }, at): ResultRow => {
    const others = count - used.length;
    const more = others > 0 ? `; other results of it that are not shown: ${others}` : '';
    const notes = [describeNetwork(network), ...new Set(used.map(tuningNote)), ...used.map(logisticNote), more];
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
      return { source: 'published', cells };
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

/** † where heads and fine-tuning did not follow the paper, ‡ where some of a benchmark's images are missing. */
function marksOf(result: EvaluationResult): Mark[] {
  return [...(isPapers(result) ? [] : (['†'] as const)), ...(missingPart(result) ? (['‡'] as const) : [])];
}

/** What has to be known of measured values: their intervals, marks, and how heads were chosen. */
function notesOf(columns: string, results: readonly EvaluationResult[]): string[] {
  if (results.length === 0) return [];
  const quick = results.some(({ protocolName }) => protocolName === 'quick');
  const tuned = results.some((result) => result.protocolName === 'paper' && !isPapers(result));
  const selections = [...new Set(results.map(({ selection }) => selection))];
  const choices = selections.map((selection) => CHOICES[selection]).join('; or ');
  const parts = [...new Set(results.map(missingPart).filter((part) => part !== null))];
  return [
    "Measured values are followed by their 95% interval over the test images (Wilson's).",
    quick &&
      "† measured with the quick protocol: the paper's grid of heads, trained otherwise. Not comparable with published values.",
    tuned && '† fine-tuned otherwise than the paper did. Not comparable with published values.',
    `${columns}: ${choices}${selections.length > 1 ? ' (see the rows)' : ''}.`,
    parts.length > 0 && `‡ measured on a part of the data set (${parts.join('; ')}).`,
  ].filter((note) => note !== false);
}

function neighboursNote(results: readonly EvaluationResult[]): string[] {
  const all = results.flatMap(({ neighbours, pixelNeighbours }) => [neighbours, pixelNeighbours]);
  const ks = [...new Set(all.flatMap((found) => usualNeighbours(found)?.k ?? []))];
  if (ks.length === 0) return [];
  return [
    `kNN: k = ${ks.join(' or ')} nearest neighbours by their features, without training; those of raw pixels by the pixels.`,
  ];
}

function bestHead(result: EvaluationResult): string {
  const chosen = result.selection === 'test' ? 'the test images' : 'held-out images';
  const { name } = result.best;
  return printable(`; best head: ${name}, chosen on ${chosen}${logisticNote(result)}${tuningNote(result)}`);
}

/** How an encoder was fine-tuned; nothing for other kinds of results. */
function tuningNote({ kind, fineTuning }: EvaluationResult): string {
  if (kind !== 'semi-supervised') return '';
  if (fineTuning === null) return '; linear probe only, it was not fine-tuned';
  return {
    paper: "; fine-tuned by the paper's protocol",
    small: '; fine-tuned by the protocol for small data',
    own: '; fine-tuned with settings of its own',
  }[fineTuning.protocol];
}

function logisticNote({ dataSet, logistic }: EvaluationResult): string {
  if (!logistic) return '';
  return `; logistic regression on ${dataSet} ${shown(logistic.top1.value)} (${logistic.features}, C = ${logistic.c})`;
}
