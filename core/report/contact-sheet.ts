import { drawing, frame, pngAddress, text, writePicture } from './picture.js';

/** A picture of a sheet: RGB, [CELL, CELL, 3]; null where it could not be read. */
export interface SheetCell {
  rgb: Uint8Array | null;
  /** Lines below it. */
  captions: readonly string[];
}

/** Side of a picture, in pixels. */
export const SHEET_CELL = 150;
const GAP = 14;
const LINE = 16;
/** Letters that fit below a picture. */
const LONGEST = 22;

/** Draws pictures in rows, the first of each set apart from those after it. */
export async function writeContactSheet(path: string, title: string, rows: readonly (readonly SheetCell[])[]) {
  const columns = Math.max(...rows.map(({ length }) => length));
  const lines = Math.max(...rows.flat().map(({ captions }) => captions.length));
  const [pitch, step] = [SHEET_CELL + GAP, SHEET_CELL + lines * LINE + GAP];
  const top = 44;
  const drawn = await Promise.all(
    rows.flatMap((cells, row) =>
      cells.map(async (cell, column) => {
        const left = GAP + column * pitch + (column > 0 ? GAP : 0);
        return `<g transform="translate(${left} ${top + row * step})">${await drawCell(cell)}</g>`;
      }),
    ),
  );
  const width = 2 * GAP + columns * pitch;
  const rule = `<line x1="${GAP + pitch}" x2="${GAP + pitch}" y1="${top}" y2="${top + rows.length * step - GAP}" stroke="#cccccc"/>`;
  const heading = text([GAP, 22], title, { size: 15 });
  await writePicture(path, drawing(width, top + rows.length * step, [heading, rule, ...drawn]));
}

async function drawCell({ rgb, captions }: SheetCell): Promise<string> {
  const picture =
    rgb === null
      ? text([SHEET_CELL / 2, SHEET_CELL / 2], 'cannot be read', { anchor: 'middle' })
      : `<image width="${SHEET_CELL}" height="${SHEET_CELL}" xlink:href="${await pngAddress(rgb, SHEET_CELL, 2 * SHEET_CELL, false)}"/>`;
  const words = captions.map((caption, at) => text([0, SHEET_CELL + 10 + at * LINE], endOf(caption)));
  return picture + frame(SHEET_CELL) + words.join('');
}

/** The end of a long name. */
function endOf(name: string): string {
  return name.length <= LONGEST ? name : `…${name.slice(1 - LONGEST)}`;
}
