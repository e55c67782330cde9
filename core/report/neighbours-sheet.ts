import { COLOURS, drawing, escapeXml, frame, pngAddress, shortName, writePicture } from './picture.js';

/** A picture of a sheet: RGB, [CELL, CELL, 3], null where it is not there; and what stands below its name. */
export type SheetPicture = { name: string; rgb: Uint8Array | null; below: string };

/** A picture and those that are like it. */
export interface SheetRow {
  query: SheetPicture;
  nearest: readonly SheetPicture[];
}

/** Most rows of a sheet, and most pictures beside a query. */
export const MOST_ROWS = 64;
export const MOST_NEIGHBOURS = 16;
/** Side of a picture, and the space between two, in pixels. */
export const CELL = 150;
const GAP = 14;
/** Between a query and its neighbours. */
const GUTTER = 28;
const HEADER = 44;
/** From one row of pictures to the next. */
const ROW = CELL + 40 + GAP;

/** Draws pictures with those that are like them: each at the left of a row, those like it beside it. */
export async function writeNeighboursSheet(path: string, title: string, rows: readonly SheetRow[]) {
  const columns = Math.max(...rows.map(({ nearest }) => nearest.length));
  const width = Math.max(2 * GAP + CELL + GUTTER + columns * (CELL + GAP) - GAP, 2 * GAP + 9 * title.length);
  const drawn = await Promise.all(
    rows.map(async ({ query, nearest }, row) => {
      const cells = await Promise.all([query, ...nearest].map(drawCell));
      const placed = cells.map((cell, at) => {
        const left = GAP + at * (CELL + GAP) + (at > 0 ? GUTTER - GAP : 0);
        return `<g transform="translate(${left} ${HEADER + row * ROW})">${cell}${at > 0 ? frame(CELL) : QUERY_FRAME}</g>`;
      });
      return placed.join('');
    }),
  );
  const heading = `<text x="${GAP}" y="27" font-size="16">${escapeXml(title)}</text>`;
  await writePicture(path, drawing(width, HEADER + rows.length * ROW, [heading, ...drawn]));
}

const QUERY_FRAME = `<rect width="${CELL}" height="${CELL}" fill="none" stroke="${COLOURS.blue}" stroke-width="3"/>`;

async function drawCell({ name, rgb, below }: SheetPicture): Promise<string> {
  const picture =
    rgb === null
      ? `<text x="${CELL / 2}" y="${CELL / 2}" text-anchor="middle" fill="#666666">not there</text>`
      : `<image width="${CELL}" height="${CELL}" xlink:href="${await pngAddress(rgb, CELL, CELL)}"/>`;
  const captions = [shortName(name), below].map(
    (words, at) =>
      `<text y="${CELL + 16 + 16 * at}" fill="${at === 0 ? '#333333' : COLOURS.blue}">${escapeXml(words)}</text>`,
  );
  return picture + captions.join('');
}
