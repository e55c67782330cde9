import type { ExampleRow } from '../data/info.js';
import { drawing, escapeXml, pngAddress, writePicture } from './picture.js';

/** Side of a picture and the space between two, in pixels. */
const CELL = 88;
const GAP = 6;
const MARGIN = 24;
const HEADER = 66;
/** Space for the name of a class, and between columns of rows. */
const NAME = 184;
const GUTTER = 36;
/** Rows from which on they stand in two columns. */
const ONE_COLUMN = 10;
/** Letters of a name on one line. */
const LETTERS = 22;

/** Draws examples of classes: a row for each with its name, how many images it has, and some of them. */
export async function writeContactSheet(
  path: string,
  title: string,
  subtitle: string,
  rows: readonly ExampleRow[],
): Promise<void> {
  const columns = rows.length > ONE_COLUMN ? 2 : 1;
  const rowCount = Math.ceil(rows.length / columns);
  const columnPictures = Math.max(...rows.map(({ pictures }) => pictures.length), 1);
  const columnWidth = NAME + columnPictures * (CELL + GAP) - GAP;
  const width = 2 * MARGIN + columns * columnWidth + (columns - 1) * GUTTER;
  const height = HEADER + rowCount * (CELL + GAP) - GAP + MARGIN;
  const drawn = await Promise.all(
    rows.map(async (row, at) => {
      const left = MARGIN + Math.floor(at / rowCount) * (columnWidth + GUTTER);
      const top = HEADER + (at % rowCount) * (CELL + GAP);
      return `<g transform="translate(${left} ${top})">${await drawRow(row)}</g>`;
    }),
  );
  const heading =
    `<text x="${MARGIN}" y="30" font-size="17">${escapeXml(title)}</text>` +
    `<text x="${MARGIN}" y="50" fill="#666666">${escapeXml(subtitle)}</text>`;
  await writePicture(path, drawing(width, height, [heading, ...drawn], 13));
}

async function drawRow({ name, amount, pictures }: ExampleRow): Promise<string> {
  const lines = wrap(name);
  const first = CELL / 2 - (lines.length * 16) / 2 + 6;
  const words = lines.map((line, at) => `<text y="${first + at * 16}">${escapeXml(line)}</text>`).join('');
  const below = `<text y="${first + lines.length * 16}" font-size="11" fill="#666666">${escapeXml(amount)}</text>`;
  const cells = await Promise.all(
    pictures.map(async ({ side, rgb }, at) => {
      const left = NAME + at * (CELL + GAP);
      const address = await pngAddress(rgb, side, CELL);
      return (
        `<g transform="translate(${left} 0)"><image width="${CELL}" height="${CELL}" xlink:href="${address}"/>` +
        `<rect width="${CELL}" height="${CELL}" fill="none" stroke="#cccccc" stroke-width="0.75"/></g>`
      );
    }),
  );
  return words + below + cells.join('');
}

/** At most three lines, broken at spaces and underscores where there are some. */
function wrap(name: string): string[] {
  const lines: string[] = [];
  let rest = name;
  while (rest.length > LETTERS && lines.length < 2) {
    const space = rest.slice(1, LETTERS + 1).search(/[\s_/-](?=[^\s_/-]*$)/) + 2;
    const end = space > 1 ? Math.min(space, LETTERS) : LETTERS;
    lines.push(rest.slice(0, end).trimEnd());
    rest = rest.slice(end).trimStart();
  }
  return [...lines, rest.length <= LETTERS ? rest : `${rest.slice(0, LETTERS - 1)}…`];
}
