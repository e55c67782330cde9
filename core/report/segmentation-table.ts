import { networkKey } from '../eval/results.js';
import type { SegmentationResult } from '../eval/segmentation-file.js';
import { iouText } from './measures-text.js';
import { describeNetwork, FACTS, groupBy, OWN_FACTS, rowsByNetwork, thousands } from './network-rows.js';
import { figureCell, markBest, printable, type ResultRow, type ResultTable, textCell } from './result-table.js';

const FIGURES = ['Mean IoU', 'Pixels'];

/** Tables of linear segmentation that was measured by itself, one for the pictures of each folder. */
export function segmentationTables(results: readonly SegmentationResult[]): ResultTable[] {
  const ofPictures = ({ segmentation: { data, classes, trainImages, testImages } }: SegmentationResult) =>
    JSON.stringify([data, classes, trainImages, testImages]);
  return [...groupBy(results, ofPictures).values()].map(segmentationTable);
}

function segmentationTable(results: readonly SegmentationResult[]): ResultTable {
  const { data, classes, trainImages, testImages } = results[0].segmentation;
  const rows = rowsByNetwork(results, networkKey)
    .flat()
    .map(({ network, segmentation }, at): ResultRow => {
      const facts = OWN_FACTS.map((fact) => textCell(FACTS[fact].of(network)));
      const note = { number: at + 1, text: `${describeNetwork(network)}; ${iouText(segmentation)}.` };
      const { meanIou, pixelAccuracy } = segmentation;
      return { source: 'measured', cells: [...facts, figureCell(meanIou), figureCell(pixelAccuracy)], note };
    });
  const images = `${thousands(trainImages)} training and ${thousands(testImages)} test images`;
  return {
    name: `${data}-segmentation`.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-'),
    title: printable(`${data}, linear segmentation: ${classes.length} classes, ${images}; percent`),
    columns: [
      ...OWN_FACTS.map((fact) => ({ name: FACTS[fact].heading, kind: 'text' as const })),
      ...FIGURES.map((name) => ({ name, kind: 'figure' as const })),
    ],
    groups: markBest([{ title: null, rows }], () => true),
    notes: [
      'Of the pixels of the test images, by a linear map of patch tokens. Pixels of an image are alike, so that there is no interval.',
    ],
  };
}
