import { countText } from '../eval/few-labels.js';
import type { EvaluationResult } from '../eval/results.js';
import { describeNetwork, FACTS, groupBy, networkRows, OWN_FACTS, taskOf, thousands } from './network-rows.js';
import {
  type Cell,
  figureCell,
  markBest,
  printable,
  type ResultRow,
  type ResultTable,
  shown,
  textCell,
} from './result-table.js';

/** A column that stands where some result has it, and what has to be known of its values. */
interface Column {
  name: string;
  kind: 'figure' | 'number';
  /** Null where it was not measured. */
  cellOf(result: EvaluationResult): Cell;
  noteOf(result: EvaluationResult): string;
}

/** Tables of what was measured beside heads and classifiers, one for each task that has some. */
export function measuresTables(results: readonly EvaluationResult[]): ResultTable[] {
  return [...groupBy(results, taskOf).values()].flatMap((own) => {
    const columns = columnsOf(own).filter(({ cellOf }) => own.some((result) => cellOf(result) !== null));
    return columns.length === 0 ? [] : [measuresTable(own, columns)];
  });
}

function measuresTable(results: readonly EvaluationResult[], columns: readonly Column[]): ResultTable {
  const { kind, dataSet, trainImages } = results[0];
  const measured = networkRows(results)
    .flat()
    .filter((result) => columns.some(({ cellOf }) => cellOf(result) !== null));
  const rows = measured.map((result, at): ResultRow => {
    const facts = OWN_FACTS.map((fact) => textCell(FACTS[fact].of(result.network)));
    const note = { number: at + 1, text: `${describeNetwork(result.network)}; ${result.protocolName} protocol.` };
    return { source: 'measured', cells: [...facts, ...columns.map(({ cellOf }) => cellOf(result))], note };
  });
  // Probes that were trained otherwise, or on pixels of other images, are not compared.
  const masked = new Set(measured.flatMap(({ segmentation }) => segmentation?.data ?? []));
  const isCompared = new Set(measured.map(({ protocolName }) => protocolName)).size === 1 && masked.size <= 1;
  const notesOf = ({ cellOf, noteOf }: Column) => measured.filter((result) => cellOf(result) !== null).map(noteOf);
  return {
    name: `${dataSet}-${kind}-${trainImages}-measures`.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-'),
    title: printable(`${dataSet}, ${thousands(trainImages)} training images: what else was measured`),
    columns: [
      ...OWN_FACTS.map((fact) => ({ name: FACTS[fact].heading, kind: 'text' as const })),
      ...columns.map(({ name, kind }) => ({ name, kind })),
    ],
    groups: markBest([{ title: null, rows }], () => isCompared),
    notes: [
      "Intervals are of 95% over the test images (Wilson's).",
      ...[...new Set(columns.flatMap(notesOf))].map(printable),
    ],
  };
}

function columnsOf(results: readonly EvaluationResult[]): Column[] {
  const counts = new Set(results.flatMap(({ fewLabels = [] }) => fewLabels.map(({ count }) => countText(count))));
  return [...probes(), ...[...counts].map(fewLabelColumn), ...geometry()];
}

function probes(): Column[] {
  const pixelsNote = ({ segmentation }: EvaluationResult) =>
    `IoU and pixels: percent of the pixels of ${segmentation?.testImages} images of ${segmentation?.data}, by a linear map of ` +
    'patch tokens. Pixels of an image are alike, so that there is no interval.';
  return [
    {
      name: 'Attentive',
      kind: 'figure',
      cellOf: ({ attentive }) => (attentive ? figureCell(attentive.top1) : null),
      noteOf: ({ attentive }) =>
        `Attentive: top-1 of a probe with cross-attention on patch tokens, after ${attentive?.settings.epochs} epochs.`,
    },
    {
      name: 'Mean IoU',
      kind: 'figure',
      cellOf: ({ segmentation }) => (segmentation ? figureCell(segmentation.meanIou) : null),
      noteOf: pixelsNote,
    },
    {
      name: 'Pixels',
      kind: 'figure',
      cellOf: ({ segmentation }) => (segmentation ? figureCell(segmentation.pixelAccuracy) : null),
      noteOf: pixelsNote,
    },
    {
      name: 'Seeds',
      kind: 'figure',
      cellOf: ({ overSeeds }) => (overSeeds ? figureCell(overSeeds) : null),
      noteOf: ({ overSeeds }) =>
        `Seeds: top-1 of the best head, mean ± deviation over ${overSeeds?.values.length} seeds.`,
    },
  ];
}

/** @param name how many labels, as `countText` has it */
function fewLabelColumn(name: string): Column {
  const found = ({ fewLabels = [] }: EvaluationResult) => fewLabels.find(({ count }) => countText(count) === name);
  return {
    name,
    kind: 'figure',
    cellOf: (result) => {
      const top1 = found(result)?.top1;
      return top1 ? figureCell(top1) : null;
    },
    noteOf: (result) => {
      const { images, top1 } = found(result) ?? {};
      return `${name}: top-1 of logistic regression on ${images} images, mean ± deviation over ${top1?.values.length} draws.`;
    },
  };
}

function geometry(): Column[] {
  type Geometry = NonNullable<EvaluationResult['geometry']>;
  const column = (
    name: string,
    textOf: (found: Geometry) => string | null,
    noteOf: (found: Geometry) => string,
  ): Column => ({
    name,
    kind: 'number',
    cellOf: ({ geometry: found }) => {
      const text = found ? textOf(found) : null;
      return text === null ? null : textCell(text);
    },
    noteOf: ({ geometry: found }) => (found ? noteOf(found) : ''),
  });
  const spectrumNote = ({ images }: Geometry) =>
    `RankMe as features are and centred, and alpha-ReQ: no percent; of ${images} training images, on as many of which alone they can be compared.`;
  const lidarNote = ({ lidar }: Geometry) => `LiDAR: no percent; of ${lidar?.views} crops of ${lidar?.images} images.`;
  return [
    column('RankMe', ({ rankMe }) => shown(rankMe), spectrumNote),
    column('centred', ({ rankMeCentred }) => shown(rankMeCentred), spectrumNote),
    column('alpha-ReQ', ({ alphaReq }) => alphaReq?.toFixed(2) ?? null, spectrumNote),
    column('LiDAR', ({ lidar }) => (lidar ? shown(lidar.value) : null), lidarNote),
  ];
}
