import './style.css';
import type { ReportFacts, RunFacts } from '../facts.js';
import { Charts } from './charts.js';
import { element, section } from './dom.js';
import { follow } from './follow.js';
import { pictures } from './pictures.js';
import { results } from './results.js';
import { summary } from './summary.js';
import { themeButton } from './theme.js';

/** Draws the page, and keeps it up to date where a server has newer facts. */
function start(): void {
  let facts = JSON.parse(document.getElementById('facts')?.textContent ?? '') as ReportFacts;
  const charts = new Charts();
  const main = element('main', {});
  const status = element('p', { className: 'status', role: 'status' });
  const parts = { summary: summary(facts), results: results(facts) };
  const title = element('h1', {}, facts.runs.map(({ name }) => name).join(', '));
  const nav = element('nav', { 'aria-label': 'Parts of the page' });
  const header = element(
    'header',
    {},
    element(
      'div',
      { className: 'top' },
      title,
      themeButton(() => charts.redraw()),
    ),
    nav,
    facts.refreshMs === null ? null : status,
  );
  const isTrained = facts.runs.some(({ standing }) => standing !== null); // of networks alone, none of this is known
  main.append(
    ...(isTrained ? [parts.summary, charts.node, parts.results, masks(facts.runs)] : [parts.summary]),
    pictures(facts.runs),
  );
  const footer = element(
    'footer',
    {},
    `Written by ${facts.writtenBy}, ${facts.writtenAt.slice(0, 16).replace('T', ' ')} UTC.`,
  );
  const links = [...main.querySelectorAll('section')].map(({ id, firstElementChild }) =>
    element('a', { href: `#${id}` }, firstElementChild?.textContent ?? id),
  );
  nav.append(...links);
  document.body.append(header, main, footer);
  charts.update(facts.runs);

  /** Replaces what has changed, so that what is open or has the focus stays where nothing has. */
  const update = (newer: ReportFacts) => {
    const older = facts;
    facts = newer;
    const isOther = (of: (one: ReportFacts) => unknown) => JSON.stringify(of(older)) !== JSON.stringify(of(newer));
    if (isOther(({ runs }) => runs.map(({ standing }) => standing)))
      parts.summary = replace(parts.summary, summary(newer));
    if (isOther(({ tables, evaluations }) => [tables, evaluations]))
      parts.results = replace(parts.results, results(newer));
    if (isOther(({ runs }) => runs.map(({ curves }) => curves))) charts.update(newer.runs);
  };
  if (facts.refreshMs !== null) follow(facts, status, update);
}

/** Puts a part in the place of an older one, with the same details open, and keeps the focus. */
function replace(older: HTMLElement, newer: HTMLElement): HTMLElement {
  const focusable = 'summary, [tabindex], button, input, a';
  const at = [...older.querySelectorAll(focusable)].indexOf(document.activeElement ?? older);
  const before = [...older.querySelectorAll('details')];
  for (const [place, part] of [...newer.querySelectorAll('details')].entries())
    part.open = before[place]?.open ?? part.open;
  older.replaceWith(newer);
  const focused = at < 0 ? undefined : newer.querySelectorAll<HTMLElement>(focusable)[at];
  focused?.focus({ preventScroll: true });
  return newer;
}

/** The masks of the first step of each run, as pretraining drew them. */
function masks(runs: readonly RunFacts[]): HTMLElement {
  const drawn = runs.flatMap(({ name, masks: address }) => {
    if (address === null) return [];
    const alt = `Crops that ${name} learned from in its first step, a row for each picture; where its method draws masks, what the encoder saw and what it had to predict, and below, how often each patch is in a mask`;
    const image = element('img', { src: address, alt });
    const box = element(
      'div',
      { className: 'scrolling paper', tabIndex: 0, role: 'region', 'aria-label': `First step of ${name}` },
      image,
    );
    return [runs.length > 1 ? element('h3', {}, name) : null, box];
  });
  const empty = element('p', { className: 'empty' }, 'No picture of them is in the folder.');
  return section('masks', 'Crops and masks of the first step', ...(drawn.length > 0 ? drawn : [empty]));
}

start();
