import sharp from 'sharp';
import type { Options } from '../config/schema.js';
import { maskSettings } from '../config/settings.js';
import { type Coverage, masksOfStep, measureCoverage } from '../methods/masks/coverage.js';
import type { GroupMasks } from '../methods/masks/multiblock.js';
import { gridSize } from '../nn/sizes.js';
import type { MaskIndices } from '../nn/tokens.js';
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
/** Images over which the heat maps count, in whole batches. */
const COUNTED = 1000;
/** Opacity of what the encoder does not see. */
const HIDDEN = 0.12;

/**
 * Draws the masks of a training step: for each picture a row with the picture, its context and each target block; below,
 * how often each patch is context or target.
 *
 * Picture number i has the masks of image i of the step's batch, cut with its group as in training.
 * @returns what the masks of more steps come to
 */
export async function writeMaskPreview(
  path: string,
  options: Options,
  pictures: readonly PreviewPicture[],
  step: number,
): Promise<Coverage> {
  const settings = maskSettings(options);
  const batchSize = Math.max(options.batchSize, pictures.length);
  const { groups } = masksOfStep(settings, batchSize, options.seed, step);
  const masks = groups.flatMap(masksByImage);
  const coverage = measureCoverage(settings, options.batchSize, options.seed, COUNTED);
  const grid = gridSize(options);
  const columns = 1 + settings.contexts + settings.targets;
  const width = Math.max(GAP + columns * (CELL + GAP), 3 * (2 * CELL));
  const rows = await Promise.all(
    pictures.map(async (picture, image) => {
      const top = HEADER + image * (CELL + LABEL + GAP);
      const { contexts, targets } = masks[image] as ReturnType<typeof masksByImage>[number];
      const cells = [
        ...contexts.map((patches) => ({ title: `context: ${patches.size} patches`, colour: CONTEXT_COLOUR, patches })),
        ...targets.map((patches, at) => ({
          title: `target ${at + 1}: ${patches.size} patches`,
          colour: TARGET_COLOURS[at % TARGET_COLOURS.length] as string,
          patches,
        })),
      ];
      return drawRow(picture, image, options.imageSize, grid, cells, top);
    }),
  );
  const bottom = HEADER + pictures.length * (CELL + LABEL + GAP);
  const height = bottom + 2 * CELL + 90;
  const title = `Masks of step ${step}, seed ${options.seed}: grid ${grid} x ${grid}, ${describeGroups(batchSize, settings.group)}`;
  await writePicture(
    path,
    `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="${width}" height="${height}" ` +
      `font-family="${FONT}" font-size="12"><rect width="100%" height="100%" fill="white"/>` +
      `<text x="${GAP}" y="26" font-size="17">${escapeXml(title)}</text>${drawLegend(settings.targets)}` +
      `${rows.join('')}${drawCoverage(coverage, grid, bottom + 20)}</svg>`,
  );
  return coverage;
}

/** What a context block keeps of the patches that were drawn, and what cutting costs, for people. */
export function describeCut({ contextPatches }: Coverage, options: Options): string {
  const { drawn, kept, keptOfBatch } = contextPatches;
  const { batchSize, maskGroup } = options;
  const percent = (part: number) => `${(100 * part).toFixed(0)}%`;
  const cut = (left: number) => percent(1 - left / drawn);
  const group = Math.min(maskGroup ?? batchSize, batchSize);
  return (
    `a context keeps ${kept.toFixed(1)} of ${gridSize(options) ** 2} patches (${percent(kept / gridSize(options) ** 2)}): ` +
    `of the ${drawn.toFixed(1)} outside its targets, cutting ${group} images to their smallest takes ${cut(kept)} away` +
    (group < batchSize ? `; cutting all ${batchSize} together would take ${cut(keptOfBatch)}` : '')
  );
}

function describeGroups(batchSize: number, group: number | null): string {
  return `batch of ${batchSize}${group !== null && group < batchSize ? ` cut in groups of ${group}` : ''}`;
}

/** One masked view of a picture. */
interface Cell {
  title: string;
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

function drawLegend(targets: number): string {
  const entries = [
    { text: 'what the context encoder sees', colour: CONTEXT_COLOUR },
    ...Array.from({ length: Math.min(targets, TARGET_COLOURS.length) }, (_, at) => ({
      text: `target block ${at + 1}`,
      colour: TARGET_COLOURS[at] as string,
    })),
  ];
  let x = GAP;
  const parts = entries.map(({ text, colour }) => {
    const part = `<rect x="${x}" y="44" width="14" height="14" fill="${colour}"/><text x="${x + 20}" y="56">${text}</text>`;
    x += 40 + text.length * 7.2;
    return part;
  });
  return parts.join('');
}

/** Two heat maps side by side with a scale each. */
function drawCoverage(coverage: Coverage, grid: number, top: number): string {
  const side = 2 * CELL;
  const maps = [
    { title: `patch is in the context, of ${coverage.images} images`, values: coverage.context },
    { title: `target blocks that hold the patch, an image`, values: coverage.targets },
  ];
  return maps
    .map(({ title, values }, at) => {
      const largest = Math.max(...values, Number.MIN_VALUE);
      const cells = [...values].map((value, patch) => square(patch, grid, side / grid, heat(value / largest))).join('');
      const left = GAP + at * (side + 120);
      return (
        `<g transform="translate(${left} ${top + 20})"><text y="-8" font-size="13">${title}</text>${cells}` +
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

/** The patches of each mask, image by image. */
function masksByImage({ context, targets }: GroupMasks): Record<'contexts' | 'targets', Set<number>[]>[] {
  const of = ({ masks, images, tokens, indices }: MaskIndices, image: number) =>
    Array.from({ length: masks }, (_, mask) => {
      const start = (mask * images + image) * tokens;
      return new Set(indices.subarray(start, start + tokens));
    });
  return Array.from({ length: context.images }, (_, image) => ({
    contexts: of(context, image),
    targets: of(targets, image),
  }));
}
