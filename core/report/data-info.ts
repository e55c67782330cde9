import { count } from '../base/console.js';
import type { ClassCount, DataInfo, Inspection, SplitInfo } from '../data/info.js';

/** Unreadable images that are named. */
const SHOWN = 10;

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

function splitLines(info: SplitInfo): string[] {
  const { split, images, description, perClass } = info;
  const lines = [field(split === 'all' ? 'images' : split, `${count(images, 'image')}: ${description}`)];
  if (perClass) {
    const { smallest, median, largest, empty } = perClass;
    lines.push(
      smallest.images === largest.images
        ? field('', `${count(smallest.images, 'image')} in every class`)
        : field(
            '',
            `images in a class: ${named('smallest', smallest)}, ${named('median', median)}, ${named('largest', largest)}`,
          ),
    );
    if (empty > 0) lines.push(field('', `${empty} of the classes ${empty === 1 ? 'has' : 'have'} no image`));
  }
  lines.push(field('', checkedText(info)));
  return lines;
}

function checkedText({ read, images, perClass, unreadable, sizes }: SplitInfo): string {
  const which =
    read === images
      ? 'all images'
      : `${count(read, 'image')} (the first and the last${perClass ? ' of each class' : ''})`;
  const result = unreadable.length === 0 ? 'can be read' : `were read, ${unreadable.length} of them cannot be`;
  return `${which} ${result}${sizes ? `; ${sizeText(sizes)}` : ''}`;
}

/** '32 x 32 pixels', '200 to 500 x 180 to 640 pixels' */
function sizeText({ width, height }: NonNullable<Inspection['sizes']>): string {
  const range = ([low, high]: readonly [number, number]) => (low === high ? String(low) : `${low} to ${high}`);
  return `${range(width)} x ${range(height)} pixels`;
}

function unreadableLines({ split, unreadable }: SplitInfo): string[] {
  const shown = unreadable.slice(0, SHOWN).map(({ name, reason }) => field('', `${name}: ${reason}`));
  if (shown.length === 0) return [];
  const more = unreadable.length - shown.length;
  return [
    field('unreadable', `${count(unreadable.length, 'image')}${split === 'all' ? '' : ` of ${split}`}`),
    ...shown,
    ...(more > 0 ? [field('', `and ${more} more`)] : []),
  ];
}

function named(which: string, { name, images }: ClassCount): string {
  return `${which} ${images} (${name})`;
}

function field(name: string, text: string): string {
  return `${name.padEnd(11)}${text}`;
}
