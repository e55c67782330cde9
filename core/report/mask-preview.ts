import sharp from 'sharp';
import { RandomStream } from '../base/random.js';
import type { DrawnGroup, Method } from '../methods/method.js';
import { gridSize, type ImageShape } from '../nn/sizes.js';
import { CONTEXT_COLOUR, TARGET_COLOURS } from './colours.js';
import { escapeXml, FONT, writePicture } from './picture.js';

/** A picture whose masks are to be shown. */
export interface PreviewPicture {
  name: string;
  /** RGB, [S, S, 3]. */
  rgb: Uint8Array;
}

/** Side of a picture, and the space between two, in pixels. */
const CELL = 150;
const GAP = 14;
const LABEL = 24;
const HEADER = 76;
/** The edge of a picture, which may be white. */
const FRAME = `<rect width="${CELL}" height="${CELL}" fill="none" stroke="#cccccc" stroke-width="0.75"/>`;
/** Images over which the heat maps count, in whole batches, and the fewest batches. */
const COUNTED = { images: 1000, steps: 8 };
/** Opacity of what the encoder does not see. */
const HIDDEN = 0.12;

/** How masks are drawn. */
export interface MaskDrawing extends ImageShape {
  batchSize: number;
  seed: number;
}

/**
 * Draws the masks of a training step: for each picture a row with the picture and each of its masks; below, how often each
 * patch is in a mask of each kind.
 *
 * Picture number i has the masks of image i of the step's batch, cut with its group as in training.
 */
export async function writeMaskPreview(
  path: string,
  method: Pick<Method, 'draw' | 'masks'>,
  drawing: MaskDrawing,
  pictures: readonly PreviewPicture[],
  step: number,
): Promise<void> {
  const draw = (number: number, images: number) =>
    method.draw?.(new RandomStream(drawing.seed, 'masks', number), images).groups ?? [];
  const batchSize = Math.max(drawing.batchSize, pictures.length);
  const groups = draw(step, batchSize);
  const cells = groups.flatMap((group) => cellsByImage(method.masks, group));
  const grid = gridSize(drawing);
  const columns = 1 + (cells[0]?.length ?? 0);
  const maps = coverageOf(method.masks, drawing, grid ** 2, draw);
  const width = Math.max(GAP + columns * (CELL + GAP), maps.length * (2 * CELL + 120));
  const rows = await Promise.all(
    pictures.map((picture, image) =>
      drawRow(picture, image, drawing.imageSize, grid, cells[image] ?? [], HEADER + image * (CELL + LABEL + GAP)),
    ),
  );
  const bottom = HEADER + pictures.length * (CELL + LABEL + GAP);
  const height = bottom + 2 * CELL + 90;
  const title = `Masks of step ${step}, seed ${drawing.seed}: grid ${grid} x ${grid}, ${describeGroups(groups)}`;
  await writePicture(
    path,
    `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="${width}" height="${height}" ` +
      `font-family="${FONT}" font-size="12"><rect width="100%" height="100%" fill="white"/>` +
      `<text x="${GAP}" y="26" font-size="17">${escapeXml(title)}</text>${drawLegend(cells[0] ?? [])}` +
      `${rows.join('')}${drawCoverage(maps, grid, bottom + 20)}</svg>`,
  );
}

function describeGroups(groups: readonly DrawnGroup[]): string {
  const images = groups.map(({ imageCount }) => imageCount);
  const total = images.reduce((sum, count) => sum + count, 0);
  return `batch of ${total}${groups.length > 1 ? ` cut in groups of ${Math.max(...images)}` : ''}`;
}

/** How often each patch is in a mask of a kind. */
interface CoverageMap {
  title: string;
  /** Mean number of masks an image that hold the patch, row by row over the grid. */
  values: Float64Array;
}

/** Counts over the first images of training, batch by batch from step 1. */
function coverageOf(
  masks: Method['masks'],
  { batchSize }: MaskDrawing,
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

/** One masked view of a picture. */
interface Cell {
  title: string;
  /** For the legend. */
  legend: string;
  colour: string;
  patches: ReadonlySet<number>;
}

async function drawRow(
  { name, rgb }: PreviewPicture,
  row: number,
  imageSize: number,
  grid: number,
  cells: readonly Cell[],
  top: number,
): Promise<string> {
  const raw = { width: imageSize, height: imageSize, channels: 3 as const };
  const png = await sharp(rgb, { raw })
    .resize(2 * CELL, 2 * CELL, { kernel: imageSize < CELL ? 'nearest' : 'lanczos3' })
    .png()
    .toBuffer();
  const definition = `<defs><image id="p${row}" width="${CELL}" height="${CELL}" xlink:href="data:image/png;base64,${png.toString('base64')}"/></defs>`;
  const whole = `<g transform="translate(${GAP} ${top})"><use xlink:href="#p${row}"/>${FRAME}${caption(shorten(name))}</g>`;
  const masked = cells.map((cell, at) => {
    const left = GAP + (at + 1) * (CELL + GAP);
    return `<g transform="translate(${left} ${top})">${drawCell(cell, `p${row}`, `p${row}c${at}`, grid)}</g>`;
  });
  return definition + whole + masked.join('');
}

/** The picture, faint but for the kept patches, which have a frame in the cell's colour. */
function drawCell({ title, colour, patches }: Cell, picture: string, id: string, grid: number): string {
  const side = CELL / grid;
  const squares = [...patches].map((patch) => square(patch, grid, side)).join('');
  return (
    `<clipPath id="${id}">${squares}</clipPath><use xlink:href="#${picture}" opacity="${HIDDEN}"/>${FRAME}` +
    `<g clip-path="url(#${id})"><use xlink:href="#${picture}"/></g>` +
    `<path d="${outlineOf(patches, grid, side)}" stroke="${colour}" stroke-width="3" fill="none" stroke-linecap="square"/>` +
    caption(title, colour)
  );
}

/** The edges between patches that are kept and places that are not. */
function outlineOf(patches: ReadonlySet<number>, grid: number, side: number): string {
  const edges: string[] = [];
  for (const patch of patches) {
    const row = Math.floor(patch / grid);
    const column = patch % grid;
    const [x, y] = [column * side, row * side];
    if (!patches.has(patch - grid)) edges.push(`M${x} ${y}h${side}`);
    if (!patches.has(patch + grid)) edges.push(`M${x} ${y + side}h${side}`);
    if (column === 0 || !patches.has(patch - 1)) edges.push(`M${x} ${y}v${side}`);
    if (column === grid - 1 || !patches.has(patch + 1)) edges.push(`M${x + side} ${y}v${side}`);
  }
  return edges.join('');
}

function drawLegend(cells: readonly Cell[]): string {
  let x = GAP;
  const parts = cells.slice(0, 1 + TARGET_COLOURS.length).map(({ legend, colour }) => {
    const part = `<rect x="${x}" y="44" width="14" height="14" fill="${colour}"/><text x="${x + 20}" y="56">${escapeXml(legend)}</text>`;
    x += 40 + legend.length * 7.2;
    return part;
  });
  return parts.join('');
}

/** Heat maps side by side with a scale each. */
function drawCoverage(maps: readonly CoverageMap[], grid: number, top: number): string {
  const side = 2 * CELL;
  return maps
    .map(({ title, values }, at) => {
      const largest = Math.max(...values, Number.MIN_VALUE);
      const cells = [...values].map((value, patch) => square(patch, grid, side / grid, heat(value / largest))).join('');
      const left = GAP + at * (side + 120);
      return (
        `<g transform="translate(${left} ${top + 20})"><text y="-8" font-size="13">${escapeXml(title)}</text>${cells}` +
        `${drawScale(side, Math.min(...values), largest)}</g>`
      );
    })
    .join('');
}

function drawScale(side: number, smallest: number, largest: number): string {
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
function heat(value: number): string {
  const stops = [
    [0, 32, 77],
    [64, 77, 107],
    [124, 123, 120],
    [188, 175, 111],
    [255, 234, 70],
  ] as const;
  const place = Math.min(0.999999, Math.max(0, value)) * (stops.length - 1);
  const [from, to] = [stops[Math.floor(place)], stops[Math.floor(place) + 1]] as [readonly number[], readonly number[]];
  const mixed = from.map((start, colour) => Math.round(start + ((to[colour] as number) - start) * (place % 1)));
  return `rgb(${mixed.join(',')})`;
}

function square(patch: number, grid: number, side: number, fill?: string): string {
  const x = (patch % grid) * side;
  const y = Math.floor(patch / grid) * side;
  // A little wider than the patch, so that no seam shows between neighbours.
  return `<rect x="${x}" y="${y}" width="${side + 0.3}" height="${side + 0.3}"${fill ? ` fill="${fill}"` : ''}/>`;
}

function caption(text: string, colour = '#333333'): string {
  return `<text y="${CELL + 16}" fill="${colour}">${escapeXml(text)}</text>`;
}

/** The end of a long name. */
function shorten(name: string): string {
  const short = name.split(/[\\/]/).slice(-2).join('/');
  return short.length <= 22 ? short : `…${short.slice(-21)}`;
}

/** The masks of each image of a group. */
function cellsByImage(masks: Method['masks'], group: DrawnGroup): Cell[][] {
  return Array.from({ length: group.imageCount }, (_, image) => {
    let predicted = 0;
    return Object.entries(masks).flatMap(([name, { title, role }]) => {
      const sets = masksOfImage(group, name, image);
      return sets.map((patches, number): Cell => {
        const label = sets.length > 1 ? `${title} ${number + 1}` : title;
        return {
          title: `${label}: ${patches.size} patches`,
          legend: role === 'visible' ? `${label}: what the encoder sees` : label,
          colour: role === 'visible' ? CONTEXT_COLOUR : (TARGET_COLOURS[predicted++ % TARGET_COLOURS.length] as string),
          patches,
        };
      });
    });
  });
}

/** The patches of an image's masks of a name: lists of indices, or values [B, N, 1] that are not 0. */
function masksOfImage({ masks, values, imageCount }: DrawnGroup, name: string, image: number): Set<number>[] {
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
