import { count } from '../base/console.js';
import type { ClassCount, DataInfo, ExampleRow, Inspection, SplitInfo } from '../data/info.js';
import { drawing, escapeXml, frame, pngAddress, writePicture } from './picture.js';

/** Unreadable images that are named. */
const SHOWN = 10;

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

/** What is known of a data set, in lines for people. */
export function dataInfoLines(info: DataInfo): string[] {
  const { name, summary, classes, splits, notes, damaged } = info;
  return [
    field('data set', `${name}: ${summary}`),
    ...(classes === null ? [] : [field('classes', String(classes))]),
    ...splits.flatMap(splitLines),
    ...notes.map((note) => field('note', note)),
    ...(damaged?.length === 0 ? [field('checksums', 'all files are as they were written')] : []),
    ...(damaged ?? []).map((line) => field('damaged', line)),
    ...splits.flatMap(unreadableLines),
  ];
}

/** Draws examples of classes: a row for each with its name, how many images it has, and some of them. */
export async function writeContactSheet(path: string, title: string, subtitle: string, rows: readonly ExampleRow[]) {
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
  const heading = `<text x="${MARGIN}" y="30" font-size="17">${escapeXml(title)}</text>`;
  const below = `<text x="${MARGIN}" y="50" fill="#666666">${escapeXml(subtitle)}</text>`;
  await writePicture(path, drawing(width, height, [heading + below, ...drawn], 13));
}

function splitLines(info: SplitInfo): string[] {
  const { split, images, description, perClass } = info;
  const first = field(split === 'all' ? 'images' : split, `${count(images, 'image')}: ${description}`);
  return [first, ...(perClass ? spreadLines(perClass) : []), field('', checkedText(info))];
}

function spreadLines({ smallest, median, largest, empty }: NonNullable<SplitInfo['perClass']>): string[] {
  const named = (which: string, { name, images }: ClassCount) => `${which} ${images} (${name})`;
  const ends = [named('smallest', smallest), named('median', median), named('largest', largest)];
  const isEven = smallest.images === largest.images;
  const spread = isEven ? `${count(smallest.images, 'image')} in every class` : `images in a class: ${ends.join(', ')}`;
  if (empty === 0) return [field('', spread)];
  return [field('', spread), field('', `${empty} of the classes ${empty === 1 ? 'has' : 'have'} no image`)];
}

function checkedText({ read, images, perClass, unreadable, sizes }: SplitInfo): string {
  const some = `${count(read, 'image')} (the first and the last${perClass ? ' of each class' : ''})`;
  const result = unreadable.length === 0 ? 'can be read' : `were read, ${unreadable.length} of them cannot be`;
  return `${read === images ? 'all images' : some} ${result}${sizes ? `; ${sizeText(sizes)}` : ''}`;
}

/** '32 x 32 pixels', '200 to 500 x 180 to 640 pixels' */
function sizeText({ width, height }: NonNullable<Inspection['sizes']>): string {
  const range = ([low, high]: readonly [number, number]) => (low === high ? String(low) : `${low} to ${high}`);
  return `${range(width)} x ${range(height)} pixels`;
}

function unreadableLines({ split, unreadable }: SplitInfo): string[] {
  if (unreadable.length === 0) return [];
  const more = unreadable.length - SHOWN;
  return [
    field('unreadable', `${count(unreadable.length, 'image')}${split === 'all' ? '' : ` of ${split}`}`),
    ...unreadable.slice(0, SHOWN).map(({ name, reason }) => field('', `${name}: ${reason}`)),
    ...(more > 0 ? [field('', `and ${more} more`)] : []),
  ];
}

function field(name: string, text: string): string {
  return `${name.padEnd(11)}${text}`;
}

async function drawRow({ name, amount, pictures }: ExampleRow): Promise<string> {
  const lines = wrap(name);
  const first = CELL / 2 - (lines.length * 16) / 2 + 6;
  const words = lines.map((line, at) => `<text y="${first + at * 16}">${escapeXml(line)}</text>`).join('');
  const below = `<text y="${first + lines.length * 16}" font-size="11" fill="#666666">${escapeXml(amount)}</text>`;
  const cells = await Promise.all(
    pictures.map(async ({ side, rgb }, at) => {
      const image = `<image width="${CELL}" height="${CELL}" xlink:href="${await pngAddress(rgb, side, CELL)}"/>`;
      return `<g transform="translate(${NAME + at * (CELL + GAP)} 0)">${image}${frame(CELL)}</g>`;
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
