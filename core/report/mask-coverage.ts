import { scaleLinear } from 'd3-scale';
import type { DrawnGroup, Method } from '../methods/method.js';
import { escapeXml } from './picture.js';

/** Images over which the heat maps count, in whole batches, and the fewest batches. */
const COUNTED = { images: 1000, steps: 8 };
/** Side of a heat map, and the space to the next one with its scale, in pixels. */
export const COVERAGE_SIDE = 300;
export const SCALE_WIDTH = 120;

/** How often each patch is in a mask of a kind. */
export interface CoverageMap {
  title: string;
  /** Mean number of masks an image that hold the patch, row by row over the grid. */
  values: Float64Array;
}

/** Counts over the first images of training, batch by batch from step 1. */
export function coverageOf(
  masks: Method['masks'],
  batchSize: number,
  patches: number,
  draw: (step: number, images: number) => readonly DrawnGroup[],
): CoverageMap[] {
  const steps = Math.max(COUNTED.steps, Math.ceil(COUNTED.images / batchSize));
  const images = steps * batchSize;
  const maps = Object.entries(masks).map(([name, { title }]) => {
    return {
      name,
      title: `masks '${title}' that hold the patch, an image, of ${images}`,
      values: new Float64Array(patches),
    };
  });
  for (let step = 1; step <= steps; step++) {
    for (const group of draw(step, batchSize)) {
      for (const { name, values } of maps) {
        for (let image = 0; image < group.imageCount; image++) {
          for (const mask of masksOfImage(group, name, image)) {
            for (const patch of mask) values[patch] = (values[patch] as number) + 1 / images;
          }
        }
      }
    }
  }
  return maps;
}

/** Heat maps side by side with a scale each. */
export function drawCoverage(maps: readonly CoverageMap[], grid: number, margin: number, top: number): string {
  return maps
    .map(({ title, values }, at) => {
      const largest = Math.max(...values, Number.MIN_VALUE);
      const cells = [...values]
        .map((value, patch) => square(patch, grid, COVERAGE_SIDE / grid, heat(value / largest)))
        .join('');
      const left = margin + at * (COVERAGE_SIDE + SCALE_WIDTH);
      return (
        `<g transform="translate(${left} ${top + 20})"><text y="-8" font-size="13">${escapeXml(title)}</text>${cells}` +
        `${drawScale(Math.min(...values), largest)}</g>`
      );
    })
    .join('');
}

function drawScale(smallest: number, largest: number): string {
  const side = COVERAGE_SIDE;
  const steps = 40;
  const bars = Array.from({ length: steps }, (_, at) => {
    const y = side - ((at + 1) * side) / steps;
    return `<rect x="${side + 12}" y="${y}" width="14" height="${side / steps + 0.5}" fill="${heat((at + 0.5) / steps)}"/>`;
  });
  const tick = (y: number, text: string) => `<text x="${side + 32}" y="${y}">${text}</text>`;
  return (
    bars.join('') +
    tick(10, largest.toFixed(2)) +
    tick(side, '0.00') +
    `<text y="${side + 18}">from ${smallest.toFixed(3)} to ${largest.toFixed(3)}</text>`
  );
}

/** Dark blue over grey to yellow, as in cividis: readable without colour vision. */
const heat = scaleLinear<string>([0, 0.25, 0.5, 0.75, 1], ['#00204d', '#404d6b', '#7c7b78', '#bcaf6f', '#ffea46']);

/** The patches of an image's masks of a name: lists of indices, or values [B, N, 1] that are not 0. */
export function masksOfImage({ masks, values, imageCount }: DrawnGroup, name: string, image: number): Set<number>[] {
  const mask = masks[name];
  if (mask) {
    return Array.from({ length: mask.maskCount }, (_, number) => {
      const start = (number * imageCount + image) * mask.tokenCount;
      return new Set(mask.indices.subarray(start, start + mask.tokenCount));
    });
  }
  const numbers = values?.[name]?.values ?? new Float32Array();
  const patchCount = numbers.length / imageCount;
  const own = numbers.subarray(image * patchCount, (image + 1) * patchCount);
  return [new Set([...own.keys()].filter((patch) => own[patch] !== 0))];
}

/** A patch of a grid. */
export function square(patch: number, grid: number, side: number, fill?: string): string {
  const x = (patch % grid) * side;
  const y = Math.floor(patch / grid) * side;
  // A little wider than the patch, so that no seam shows between neighbours.
  return `<rect x="${x}" y="${y}" width="${side + 0.3}" height="${side + 0.3}"${fill ? ` fill="${fill}"` : ''}/>`;
}
