import { scaleLinear } from 'd3-scale';
import { drawBatch } from '../methods/batch.js';
import type { DrawnGroup, Method } from '../methods/method.js';
import { gridSize, type ImageShape } from '../nn/sizes.js';
import { COLOURS, drawing, escapeXml, frame, pngAddress, shortName, writePicture } from './picture.js';

/** A picture whose masks are to be shown: RGB, [S, S, 3]. */
export type PreviewPicture = { name: string; rgb: Uint8Array };

/** Side of a picture, and the space between two, in pixels. */
const CELL = 150;
const GAP = 14;
/** From one row of pictures to the next. */
const ROW = CELL + 24 + GAP;
const HEADER = 76;
/** Side of a heat map, and the space to the next one with its scale, in pixels. */
const MAP = 300;
const MAP_GAP = 120;
/** Opacity of what the encoder does not see. */
const HIDDEN = 0.12;
/** Of what the encoder sees, and of what is predicted in turn. */
const CONTEXT_COLOUR = COLOURS.blue;
const TARGET_COLOURS = [COLOURS.orange, COLOURS.green, COLOURS.vermilion, COLOURS.purple] as const;
/** Images over which the heat maps count, in whole batches, and the fewest batches. */
const COUNTED = { images: 1000, steps: 8 };

/**
 * Draws the masks of a training step: for each picture a row with the picture and each of its masks; below, how often each
 * patch is in a mask of each kind.
 *
 * Picture number i has the masks of image i of the step's batch, cut with its group as in training.
 */
export async function writeMaskPreview(
  path: string,
  method: Pick<Method, 'draw' | 'masks'>,
  settings: ImageShape & { batchSize: number; seed: number },
  pictures: readonly PreviewPicture[],
  step: number,
): Promise<void> {
  const draw = (number: number, images: number) => drawBatch(method, settings.seed, number, images).groups;
  const groups = draw(step, Math.max(settings.batchSize, pictures.length));
  const cells = groups.flatMap((group) =>
    Array.from({ length: group.imageCount }, (_, image) => cellsOf(method.masks, group, image)),
  );
  const [first = []] = cells;
  const grid = gridSize(settings);
  const columns = 1 + first.length;
  const maps = coverageOf(method.masks, settings.batchSize, grid ** 2, draw);
  const rows = await Promise.all(
    pictures.map((picture, image) => drawRow(picture, image, settings.imageSize, grid, cells[image] ?? [])),
  );
  const bottom = HEADER + pictures.length * ROW;
  const of = `of step ${step}, seed ${settings.seed}:`;
  const title =
    maps.length > 0
      ? `Masks ${of} grid ${grid} x ${grid}, ${describeGroups(groups)}`
      : `Crops ${of} ${describeGroups(groups)}`;
  const width = Math.max(GAP + columns * (CELL + GAP), maps.length * (MAP + MAP_GAP), 2 * GAP + 9 * title.length);
  const below = maps.length > 0 ? MAP + 90 : GAP;
  const heading = `<text x="${GAP}" y="26" font-size="17">${escapeXml(title)}</text>${drawLegend(first)}`;
  const drawnMaps = maps.map((map, at) => drawMap(map, grid, GAP + at * (MAP + MAP_GAP), bottom + 40));
  await writePicture(path, drawing(width, bottom + below, [heading, ...rows, ...drawnMaps]));
}

function describeGroups(groups: readonly DrawnGroup[]): string {
  const images = groups.map(({ imageCount }) => imageCount);
  const total = images.reduce((sum, count) => sum + count, 0);
  return `batch of ${total}${groups.length > 1 ? ` cut in groups of ${Math.max(...images)}` : ''}`;
}

/** One masked view of a picture. */
type Cell = { title: string; legend: string; colour: string; patches: ReadonlySet<number> };

function cellsOf(masks: Method['masks'], group: DrawnGroup, image: number): Cell[] {
  let predicted = 0;
  return Object.entries(masks).flatMap(([name, { title, role }]) => {
    const sets = masksOfImage(group, name, image);
    return sets.map((patches, number): Cell => {
      const label = sets.length > 1 ? `${title} ${number + 1}` : title;
      const isVisible = role === 'visible';
      return {
        title: `${label}: ${patches.size} patches`,
        legend: isVisible ? `${label}: what the encoder sees` : label,
        colour: isVisible ? CONTEXT_COLOUR : TARGET_COLOURS[predicted++ % TARGET_COLOURS.length],
        patches,
      };
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

async function drawRow(
  { name, rgb }: PreviewPicture,
  row: number,
  imageSize: number,
  grid: number,
  cells: readonly Cell[],
): Promise<string> {
  const top = HEADER + row * ROW;
  const address = await pngAddress(rgb, imageSize, 2 * CELL, imageSize < CELL);
  const definition = `<defs><image id="p${row}" width="${CELL}" height="${CELL}" xlink:href="${address}"/></defs>`;
  const whole = `<use xlink:href="#p${row}"/>${frame(CELL)}${caption(shortName(name))}`;
  const masked = cells.map((cell, at) => drawCell(cell, `p${row}`, `p${row}c${at}`, grid));
  const placed = [whole, ...masked].map(
    (drawn, at) => `<g transform="translate(${GAP + at * (CELL + GAP)} ${top})">${drawn}</g>`,
  );
  return definition + placed.join('');
}

/** The picture, faint but for the kept patches, which have a frame in the cell's colour. */
function drawCell({ title, colour, patches }: Cell, picture: string, id: string, grid: number): string {
  const side = CELL / grid;
  const squares = [...patches].map((patch) => square(patch, grid, side)).join('');
  return (
    `<clipPath id="${id}">${squares}</clipPath><use xlink:href="#${picture}" opacity="${HIDDEN}"/>${frame(CELL)}` +
    `<g clip-path="url(#${id})"><use xlink:href="#${picture}"/></g>` +
    `<path d="${outlineOf(patches, grid, side)}" stroke="${colour}" stroke-width="3" fill="none" stroke-linecap="square"/>` +
    caption(title, colour)
  );
}

/** The edges between patches that are kept and places that are not. */
function outlineOf(patches: ReadonlySet<number>, grid: number, side: number): string {
  const edges: string[] = [];
  for (const patch of patches) {
    const column = patch % grid;
    const [x, y] = [column * side, Math.floor(patch / grid) * side];
    if (!patches.has(patch - grid)) edges.push(`M${x} ${y}h${side}`);
    if (!patches.has(patch + grid)) edges.push(`M${x} ${y + side}h${side}`);
    if (column === 0 || !patches.has(patch - 1)) edges.push(`M${x} ${y}v${side}`);
    if (column === grid - 1 || !patches.has(patch + 1)) edges.push(`M${x + side} ${y}v${side}`);
  }
  return edges.join('');
}

function drawLegend(cells: readonly Cell[]): string {
  let x = GAP;
  let parts = '';
  for (const { legend, colour } of cells.slice(0, 1 + TARGET_COLOURS.length)) {
    parts += `<rect x="${x}" y="44" width="14" height="14" fill="${colour}"/><text x="${x + 20}" y="56">${escapeXml(legend)}</text>`;
    x += 40 + legend.length * 7.2;
  }
  return parts;
}

function caption(text: string, colour = '#333333'): string {
  return `<text y="${CELL + 16}" fill="${colour}">${escapeXml(text)}</text>`;
}

/**
 * How often each patch is in a mask of a kind: the mean number of masks an image that hold it, row by row over the grid.
 * Counted over the first images of training, batch by batch from step 1.
 */
function coverageOf(
  masks: Method['masks'],
  batchSize: number,
  patches: number,
  draw: (step: number, images: number) => readonly DrawnGroup[],
) {
  const steps = Math.max(COUNTED.steps, Math.ceil(COUNTED.images / batchSize));
  const images = steps * batchSize;
  const maps = Object.entries(masks).map(([name, { title }]) => ({
    name,
    title: `masks '${title}' that hold the patch, an image, of ${images}`,
    values: new Float64Array(patches),
  }));
  for (let step = 1; step <= steps; step++) {
    for (const group of draw(step, batchSize)) {
      for (const { name, values } of maps) {
        for (let image = 0; image < group.imageCount; image++) {
          for (const mask of masksOfImage(group, name, image)) {
            for (const patch of mask) values[patch] += 1 / images;
          }
        }
      }
    }
  }
  return maps;
}

function drawMap(map: { title: string; values: Float64Array }, grid: number, left: number, top: number): string {
  const { title, values } = map;
  const smallest = Math.min(...values);
  const largest = Math.max(...values, Number.MIN_VALUE);
  const cells = [...values].map((value, patch) => square(patch, grid, MAP / grid, heat(value / largest)));
  const steps = 40;
  const bars = Array.from({ length: steps }, (_, at) => {
    const y = MAP - ((at + 1) * MAP) / steps;
    return `<rect x="${MAP + 12}" y="${y}" width="14" height="${MAP / steps + 0.5}" fill="${heat((at + 0.5) / steps)}"/>`;
  });
  const tick = (y: number, text: string) => `<text x="${MAP + 32}" y="${y}">${text}</text>`;
  return (
    `<g transform="translate(${left} ${top})"><text y="-8" font-size="13">${escapeXml(title)}</text>` +
    [...cells, ...bars, tick(10, largest.toFixed(2)), tick(MAP, '0.00')].join('') +
    `<text y="${MAP + 18}">from ${smallest.toFixed(3)} to ${largest.toFixed(3)}</text></g>`
  );
}

/** Dark blue over grey to yellow, as in cividis: readable without colour vision. */
const heat = scaleLinear<string>([0, 0.25, 0.5, 0.75, 1], ['#00204d', '#404d6b', '#7c7b78', '#bcaf6f', '#ffea46']);

function square(patch: number, grid: number, side: number, fill?: string): string {
  const x = (patch % grid) * side;
  const y = Math.floor(patch / grid) * side;
  // A little wider than the patch, so that no seam shows between neighbours.
  return `<rect x="${x}" y="${y}" width="${side + 0.3}" height="${side + 0.3}"${fill ? ` fill="${fill}"` : ''}/>`;
}
