import { accuracyOf, type MeanAccuracy } from '../eval/accuracy.js';
import { countText } from '../eval/few-labels.js';
import { type ClassCounts, type PairedTest, PREDICTOR_NAMES, type Predictor } from '../eval/paired.js';
import type { EvaluationResult } from '../eval/results.js';
import { archName, methodName, thousands } from './network-rows.js';
import { printable, shown } from './result-table.js';

/** Classes of pixels that are told one by one. */
const MOST_CLASSES = 10;

/** What was measured of a network beside what stands in tables, in lines for people. */
export function measuresText({
  geometry,
  fewLabels = [],
  overSeeds,
  attentive,
  segmentation,
}: EvaluationResult): string[] {
  const lines: string[] = [];
  if (geometry) {
    const { images, rankMe, rankMeCentred, alphaReq, lidar } = geometry;
    const alpha = alphaReq === null ? '' : `, alpha-ReQ ${alphaReq.toFixed(2)}`;
    const views = lidar && `; LiDAR ${shown(lidar.value)} (${lidar.views} crops of ${lidar.images} images)`;
    lines.push(
      `  geometry of ${images} training images: RankMe ${shown(rankMe)}, centred ${shown(rankMeCentred)}${alpha}${views ?? ''}`,
    );
  }
  if (overSeeds) lines.push(`  best head over ${overSeeds.values.length} seeds: ${meanText(overSeeds)}`);
  for (const { count, images, top1 } of fewLabels) {
    const draws = `${top1.values.length} draws of ${images} images`;
    lines.push(`  logistic regression on ${countText(count)} (${draws}): ${meanText(top1)}`);
  }
  if (attentive) {
    const { top1, top5, settings } = attentive;
    const { epochs, batchSize, learningRate } = settings;
    lines.push(
      `  attentive probe: ${shown(top1.value)}% (${shown(top1.low)} to ${shown(top1.high)}), top-5 ${shown(top5.value)}% ` +
        `(${epochs} epochs, batches of ${batchSize} at most, learning rate ${learningRate} along a cosine to 0)`,
    );
  }
  return segmentation ? [...lines, ...segmentationText(segmentation)] : lines;
}

type Segmentation = NonNullable<EvaluationResult['segmentation']>;

/** What a linear map of patches tells of the classes of pixels, in lines for people. */
export function segmentationText(found: Segmentation): string[] {
  const { meanIou, pixelAccuracy, trainImages, testImages } = found;
  return [
    `  segmentation of ${testImages} images by a linear map of patches, learned from ${trainImages}: ` +
      `mean IoU ${shown(meanIou)}%, pixels ${shown(pixelAccuracy)}%`,
    `    ${iouText(found)}`,
  ];
}

/** 'IoU: class 0 91.2, class 1 40.3' */
export function iouText({ classes, iou }: Segmentation): string {
  const ofClasses = classes.map((id, at) => `class ${id} ${typeof iou[at] === 'number' ? shown(iou[at]) : '–'}`);
  const more = classes.length > MOST_CLASSES ? ', ...' : '';
  return `IoU: ${ofClasses.slice(0, MOST_CLASSES).join(', ')}${more}`;
}

/** '41.2 ± 3.1%' */
function meanText({ value, deviation }: MeanAccuracy): string {
  return `${shown(value)}${deviation === null ? '' : ` ± ${shown(deviation)}`}%`;
}

/** Paired tests in lines for people. */
export function pairedText(tests: readonly PairedTest[], by: Predictor): string {
  const lines = tests.map(({ first, second, images, onlyFirst, onlySecond, p }) => {
    const discordant = `${onlyFirst} to ${onlySecond} of ${thousands(images)} test images`;
    const names = `${nameOf(first)} against ${nameOf(second)}`;
    return printable(`${first.dataSet}: ${names}: right alone on ${discordant}, p = ${probability(p)}`);
  });
  return [
    `McNemar's exact test, ${PREDICTOR_NAMES[by]}`,
    ...lines.map((line) => `  ${line}`),
    `  p is not corrected for the number of comparisons: ${tests.length}.`,
  ].join('\n');
}

/** How well networks name each class, in lines for people. */
export function perClassText(all: readonly ClassCounts[], by: Predictor): string {
  return all
    .map(({ result, classes }) => {
      const lines = classes.map(({ number, images, right }) => {
        const { value, low, high } = accuracyOf((100 * right) / images, images);
        const name = result.confusion?.classes[number] ?? `class ${number}`;
        return `  ${printable(name)}: ${shown(value)}% (${shown(low)} to ${shown(high)}), ${right} of ${images}`;
      });
      return [printable(`${result.dataSet}, ${nameOf(result)}, ${PREDICTOR_NAMES[by]}`), ...lines].join('\n');
    })
    .join('\n\n');
}

function nameOf({ network, seed }: EvaluationResult): string {
  const { checkpoint } = network;
  const source = checkpoint === null ? `, seed ${seed}` : ` (${checkpoint})`;
  return `${methodName(network)} ${archName(network)}${source}`;
}

/** 0.0167, or 1.0e-75. */
function probability(p: number): string {
  return p < 1e-4 ? p.toExponential(1) : p.toPrecision(3);
}
