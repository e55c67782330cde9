import { drawBatch } from '../methods/batch.js';
import type { DrawnGroup, Method } from '../methods/method.js';
import { gridSize, type ImageShape } from '../nn/sizes.js';
import { CONTEXT_COLOUR, TARGET_COLOURS } from './colours.js';
import { COVERAGE_SIDE, coverageOf, drawCoverage, masksOfImage, SCALE_WIDTH, square } from './mask-coverage.js';
import { drawing, escapeXml, pngAddress, writePicture } from './picture.js';

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
  settings: MaskDrawing,
  pictures: readonly PreviewPicture[],
  step: number,
): Promise<void> {
  const draw = (number: number, images: number) => drawBatch(method, settings.seed, number, images).groups;
  const batchSize = Math.max(settings.batchSize, pictures.length);
  const groups = draw(step, batchSize);
  const cells = groups.flatMap((group) => cellsByImage(method.masks, group));
  const grid = gridSize(settings);
  const columns = 1 + (cells[0]?.length ?? 0);
  const maps = coverageOf(method.masks, settings.batchSize, grid ** 2, draw);
  const width = Math.max(GAP + columns * (CELL + GAP), maps.length * (COVERAGE_SIDE + SCALE_WIDTH));
  const rows = await Promise.all(
    pictures.map((picture, image) =>
      drawRow(picture, image, settings.imageSize, grid, cells[image] ?? [], HEADER + image * (CELL + LABEL + GAP)),
    ),
  );
  const bottom = HEADER + pictures.length * (CELL + LABEL + GAP);
  const height = bottom + COVERAGE_SIDE + 90;
  const title = `Masks of step ${step}, seed ${settings.seed}: grid ${grid} x ${grid}, ${describeGroups(groups)}`;
  const heading = `<text x="${GAP}" y="26" font-size="17">${escapeXml(title)}</text>${drawLegend(cells[0] ?? [])}`;
  const parts = [heading, ...rows, drawCoverage(maps, grid, GAP, bottom + 20)];
  await writePicture(path, drawing(width, height, parts));
}

function describeGroups(groups: readonly DrawnGroup[]): string {
  const images = groups.map(({ imageCount }) => imageCount);
  const total = images.reduce((sum, count) => sum + count, 0);
  return `batch of ${total}${groups.length > 1 ? ` cut in groups of ${Math.max(...images)}` : ''}`;
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
  const address = await pngAddress(rgb, imageSize, 2 * CELL, imageSize < CELL);
  const definition = `<defs><image id="p${row}" width="${CELL}" height="${CELL}" xlink:href="${address}"/></defs>`;
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
