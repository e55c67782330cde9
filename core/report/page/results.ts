import type { Confusion, ReportFacts, TableFacts } from '../facts.js';
import { computeChart } from './compute-chart.js';
import { details, element, scrolling, section, table } from './dom.js';
import { heat } from './tokens.js';

/** Classes up to which a table of confusions stands open. */
const OPEN = 12;

/** What evaluations measured. */
export function results({ tables, evaluations, runs }: ReportFacts): HTMLElement {
  if (evaluations.length === 0 && tables.length === 0) {
    const words = 'No evaluation was found. The command probe makes one; --results says where others lie.';
    return section('results', 'Evaluations', element('p', { className: 'empty' }, words));
  }
  const confusions = evaluations.flatMap(({ run, title, confusion }) => {
    if (!confusion) return [];
    const name = runs.length > 1 ? `${run}, ${title}` : title;
    return [
      element('h3', {}, `By class: ${name}`),
      element('div', { className: 'pair' }, ...confusionParts(confusion, name)),
    ];
  });
  const missing = evaluations.filter(({ confusion }) => confusion === null).length;
  const note =
    missing === 0
      ? ''
      : `${missing} of ${evaluations.length} results hold no counts by class (more than 100 classes, or an earlier version).`;
  return section(
    'results',
    'Evaluations',
    ...tables.map(resultTable),
    ...computeChart(
      evaluations,
      runs.map(({ name }) => name),
    ),
    ...confusions,
    note === '' ? null : element('p', { className: 'hint' }, note),
  );
}

function resultTable({ title, columns, groups, notes }: TableFacts): HTMLElement {
  const hasPublished = groups.some(({ rows }) => rows.some(({ isPublished }) => isPublished));
  const classOf = (at: number) => (columns[at]?.isFigure ? 'figure' : '');
  const head = columns.map(({ name }, at) => element('th', { scope: 'col', className: classOf(at) }, name));
  const body = groups.flatMap(({ title: group, rows }) => [
    ...(group === null
      ? []
      : [
          element(
            'tr',
            {},
            element('th', { colSpan: columns.length + 1, scope: 'rowgroup', className: 'group' }, group),
          ),
        ]),
    ...rows.map(({ cells, isPublished }) => {
      const made = cells.map(({ text, interval, isBest }, at) => {
        const value = isBest ? element('strong', {}, text) : text;
        const between = interval === null ? null : element('small', {}, interval);
        return at === 0
          ? element('th', { scope: 'row' }, value)
          : element('td', { className: classOf(at) }, value, between);
      });
      const source = hasPublished ? element('td', {}, isPublished ? 'published' : 'measured') : null;
      return element('tr', { className: isPublished ? 'published' : 'measured' }, ...made, source);
    }),
  ]);
  const source = hasPublished ? element('th', { scope: 'col' }, 'Source') : null;
  const made = element(
    'table',
    {},
    element('caption', {}, title),
    element('thead', {}, element('tr', {}, ...head, source)),
    element('tbody', {}, ...body),
  );
  const list = () => element('ul', {}, ...notes.map((note) => element('li', {}, note)));
  return element(
    'div',
    { className: 'result' },
    scrolling(title, made),
    details('What has to be known of these values', list),
  );
}

function confusionParts(confusion: Confusion, name: string): HTMLElement[] {
  const { classes, counts, accuracies } = confusion;
  const rows = classes.map((label, at) => {
    const row = counts[at] ?? [];
    const accuracy = accuracies[at] ?? null;
    const images = row.reduce((sum, count) => sum + count, 0);
    const others = row
      .map((count, other) => ({ count, other }))
      .filter(({ count, other }) => other !== at && count > 0);
    const [most] = others.sort((a, b) => b.count - a.count);
    const bar = element('meter', { min: 0, max: 100, value: accuracy?.value ?? 0, 'aria-label': `${label}: accuracy` });
    return [
      label,
      String(images),
      accuracy === null ? '–' : element('span', { className: 'progress' }, bar, `${accuracy.value.toFixed(1)}`),
      accuracy === null ? '–' : `${accuracy.low.toFixed(1)}–${accuracy.high.toFixed(1)}`,
      most ? `${classes[most.other]} (${most.count})` : '–',
    ];
  });
  const headings = ['class', 'test images', 'named rightly, percent', '95% interval', 'most often taken for'];
  const accuraciesOf = () => table(`Accuracy by class: ${name}`, headings, rows, { figures: (column) => column < 4 });
  const matrix = () => confusionMatrix(confusion, name);
  const parts = [
    details('Accuracy by class', accuraciesOf),
    details('Images of a class (row) by the class that the linear head names (column)', matrix),
  ];
  if (classes.length <= OPEN) for (const part of parts) part.open = true;
  return parts;
}

/** Relative luminance (WCAG 2) at which black and white letters are read equally well. */
const MIDDLE = 0.179;

function luminance(colour: readonly [number, number, number]): number {
  const linear = colour.map((value) => {
    const part = value / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  }) as [number, number, number];
  return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
}

/** Counts on the colours of their part of the row. */
function confusionMatrix({ classes, counts }: Confusion, name: string): HTMLElement {
  const head = ['', ...classes].map((label) => element('th', { scope: 'col' }, element('span', {}, label)));
  const body = classes.map((label, at) => {
    const row = counts[at] ?? [];
    const total = Math.max(
      1,
      row.reduce((sum, count) => sum + count, 0),
    );
    const cells = row.map((count, other) => {
      const cell = element(
        'td',
        { className: 'figure', title: `${label} named ${classes[other]}: ${count}` },
        count === 0 ? '' : String(count),
      );
      const [red, green, blue] = heat(count / total);
      cell.style.background = `rgb(${red} ${green} ${blue})`;
      cell.style.color = luminance([red, green, blue]) > MIDDLE ? '#000000' : '#ffffff';
      return cell;
    });
    return element('tr', {}, element('th', { scope: 'row' }, label), ...cells);
  });
  const made = element(
    'table',
    { className: 'confusion' },
    element('caption', {}, `Confusions: ${name}`),
    element('thead', {}, element('tr', {}, ...head)),
    element('tbody', {}, ...body),
  );
  return scrolling(`Confusions: ${name}`, made);
}
