import { formatBytes } from '../base/console.js';
import type { RunSummary } from './runs.js';

const HEADINGS = ['run', 'state', 'epoch', 'step', '', 'loss', 'verdict', 'best top-1', 'on disk', 'last change'];
/** Columns of text; the rest are figures, which end at the same place. */
const LEFT = new Set([0, 1, 6, 7, 9]);

/** Runs as a table for people, and below it why some of them stand still, and what monitors warn of. */
export function runsText(runs: readonly RunSummary[]): string {
  const rows = [HEADINGS, ...runs.map(cellsOf)];
  const widths = HEADINGS.map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  const aligned = (cell: string, column: number) =>
    LEFT.has(column) ? cell.padEnd(widths[column]) : cell.padStart(widths[column]);
  const lines = rows.map((row) => row.map(aligned).join('  ').trimEnd());
  const reasons = runs.flatMap(({ name, state, reason, savedStep }) =>
    reason === null
      ? []
      : [`${name} ${state}: ${reason}${savedStep === null ? '' : `; saved up to step ${savedStep}`}`],
  );
  const warnings = runs.flatMap(({ name, verdicts }) =>
    Object.values(verdicts).flatMap(({ isWell, text }) => (isWell ? [] : [`${name}: ${text}`])),
  );
  const remarks = [...reasons, ...warnings];
  return [...lines, ...(remarks.length > 0 ? ['', ...remarks] : [])].join('\n');
}

function cellsOf(run: RunSummary): string[] {
  const { name, state, epoch, epochs, step, totalSteps, loss, best, bytes, changed } = run;
  return [
    name,
    state,
    `${epoch}/${epochs}`,
    `${step}/${totalSteps}`,
    `${Math.floor((100 * step) / totalSteps)}%`,
    loss === null ? '–' : loss.toFixed(4),
    describeVerdicts(run),
    best ? `${best.top1.toFixed(1)} ${best.dataSet}` : '–',
    formatBytes(bytes),
    // '2026-03-01 14:05', in the time of the machine.
    new Date(changed).toLocaleString('sv-SE', { dateStyle: 'short', timeStyle: 'short' }),
  ];
}

/** 'no collapse', or 'collapse!', by the names of the monitors that gave verdicts. */
function describeVerdicts({ verdicts }: RunSummary): string {
  const words = Object.entries(verdicts).map(([name, { isWell }]) => (isWell ? `no ${name}` : `${name}!`));
  return words.join(', ') || '–';
}
