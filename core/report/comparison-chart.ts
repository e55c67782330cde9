import { count } from '../base/console.js';
import { BAR_WIDTH, type Bar, barPanel, barPanelHeight } from './bar-panel.js';
import { type Comparison, type ComparisonRow, comparisonRows } from './comparison.js';
import { drawing, writePicture } from './picture.js';
import { printable } from './result-table.js';

/**
 * Draws a comparison as a PNG: a bar for each method, the mean of logistic regression over the seeds with the interval over
 * the test images, and a dot for each seed; nearest neighbours as diamonds; random weights in grey.
 * @throws UserError if the file cannot be written
 */
export async function writeComparisonChart(path: string, comparison: Comparison): Promise<void> {
  const { dataSet, data, asked } = comparison;
  const bars = comparisonRows(comparison).map(barOf);
  const time = asked.budget === null ? '' : `, ${asked.budget} of training each`;
  const title = printable(`${dataSet}: logistic regression on frozen features${time}; seeds: ${asked.seeds}`);
  const diamondName = 'nearest neighbours';
  const panel = barPanel(title, bars, { chance: 100 / data.classes, diamondName, top: 0 });
  await writePicture(path, drawing(BAR_WIDTH, barPanelHeight(bars), [panel]));
}

function barOf({ title, method, pooling, epochs, logistic, neighbours }: ComparisonRow): Bar {
  const length = method === null ? '' : `, ${count(epochs ?? 0, 'epoch')}`;
  return {
    name: printable(pooling === 'pixels' ? title : `${title}, ${pooling}${length}`),
    isRandom: method === null,
    top1: logistic,
    diamond: neighbours?.value ?? null,
    dots: logistic?.deviation == null ? [] : logistic.values,
  };
}
