import type { ReportFacts, RunFacts, Standing } from '../facts.js';
import { duration, shown } from './chart-data.js';
import { details, element, section, table } from './dom.js';

const STATES: Readonly<Record<Standing['state'], string>> = {
  running: 'running',
  done: 'done',
  interrupted: 'interrupted',
  failed: 'failed',
  unknown: 'not known',
  gone: 'gone',
};

/** What the runs are and how they stand. */
export function summary({ runs }: ReportFacts): HTMLElement {
  const several = runs.length > 1;
  const names = [...new Set(runs.flatMap(({ about }) => about.map(({ name }) => name)))];
  const factOf = ({ about }: RunFacts, name: string) => about.find((fact) => fact.name === name)?.value ?? '–';
  const rows = [
    ...standingRows(runs.map(({ standing }) => standing)),
    ...names.map((name) => [name, ...runs.map((run) => factOf(run, name))]),
  ];
  const headings = ['', ...runs.map(({ name }) => name)];
  const what = runs.some(({ standing }) => standing) ? 'run' : 'network';
  return section(
    'summary',
    `${what === 'run' ? 'Run' : 'Network'}${several ? 's' : ''}`,
    verdicts(runs),
    table(several ? `What the ${what}s are` : `What the ${what} is`, headings, rows, { figures: () => false }),
    ...options(runs),
  );
}

/** How runs stand; no row where there are networks alone. */
function standingRows(standings: readonly (Standing | null)[]) {
  if (standings.every((standing) => standing === null)) return [];
  const row = (name: string, text: (standing: Standing) => string | HTMLElement) => [
    name,
    ...standings.map((standing) => (standing ? text(standing) : '–')),
  ];
  const isProbed = standings.some((standing) => standing?.probe);
  return [
    row('state', stateText),
    row('steps', progress),
    row('speed', speedText),
    ...(isProbed ? [row('best by the online probe', probeText)] : []),
  ];
}

/** What monitors make of the runs, in words. */
function verdicts(runs: readonly RunFacts[]): HTMLElement {
  const lines = runs.flatMap(({ name, standing }) => {
    const before = runs.length > 1 ? `${name}: ` : '';
    if (standing === null) return [];
    if (standing.verdicts.length === 0) {
      return [
        element(
          'p',
          { className: 'verdict' },
          `${before}no verdict on collapse yet: it comes with the first checkpoint`,
        ),
      ];
    }
    return standing.verdicts.map(({ isWell, text }) =>
      element(
        'p',
        { className: `verdict ${isWell ? 'well' : 'ill'}` },
        element('strong', {}, isWell ? 'Healthy. ' : 'Warning. '),
        before + text,
      ),
    );
  });
  return element('div', {}, ...lines);
}

function stateText({ state, reason }: Standing): string {
  return reason === null ? STATES[state] : `${STATES[state]}: ${reason}`;
}

function progress({ step, totalSteps, epoch, epochs }: Standing): HTMLElement {
  const text = `${step.toLocaleString('en-US')} of ${totalSteps.toLocaleString('en-US')}, epoch ${epoch} of ${epochs}`;
  const bar = element('progress', { max: Math.max(1, totalSteps), value: step, 'aria-label': text });
  return element('span', { className: 'progress' }, bar, text);
}

function speedText({ state, imagesPerSecond, secondsLeft }: Standing): string {
  if (imagesPerSecond === null) return '–';
  const left = state === 'running' && secondsLeft !== null ? `, ${duration(secondsLeft)} left` : '';
  return `${shown(imagesPerSecond)} images/s${left}`;
}

/** 'step 240: logistic regression 43.1%, nearest neighbours 30.2%' */
function probeText({ probe }: Standing): string {
  if (!probe) return '–';
  const { step, logistic, neighbours } = probe;
  const voted = neighbours === null ? '' : `, nearest neighbours ${neighbours.toFixed(1)}%`;
  return `step ${step}: logistic regression ${logistic.toFixed(1)}%${voted}`;
}

/** Options that are not the usual ones or differ between runs; and all of them. */
function options(runs: readonly RunFacts[]): HTMLElement[] {
  const names = [...new Set(runs.flatMap(({ options }) => options.map(({ name }) => name)))];
  if (names.length === 0) return [];
  const rows = names.map((name) => {
    const found = runs.map(({ options }) => options.find((option) => option.name === name));
    const values = found.map((option) => option?.value ?? '–');
    const isTold = new Set(values).size > 1 || found.some((option) => option?.isUsual === false);
    return { isTold, cells: [name, ...values] };
  });
  const headings = ['option', ...runs.map(({ name }) => name)];
  const told = rows.filter(({ isTold }) => isTold);
  const make = (caption: string, chosen: typeof rows) => () =>
    table(
      caption,
      headings,
      chosen.map(({ cells }) => cells),
      { figures: () => false },
    );
  const own =
    runs.length > 1 ? 'Options that differ, or are not the usual ones' : 'Options that are not the usual ones';
  return [
    details(`${own} (${told.length})`, make(own, told)),
    details(`All options (${rows.length})`, make('All options', rows)),
  ];
}
