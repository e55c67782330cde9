import { existsSync } from 'node:fs';
import { reasonOf, UserError } from '../core/base/errors.js';
import { terminalOf } from '../core/base/program.js';
import { PUBLISHED } from '../core/methods/published.js';
import { writeChart } from '../core/report/evaluation-chart.js';
import type { ResultTable } from '../core/report/result-table.js';
import { TABLE_WRITERS, tableText } from '../core/report/table-formats.js';
import { evaluationTables } from '../core/report/tables.js';
import { findResults, findSegmentations } from '../core/run/results-search.js';
import type { TablesOptions } from './options/others.js';
import { checkPredictions, predictionsText } from './predictions-run.js';

/** Prints the tables with the results of files and folders, and draws a chart of them. */
export async function showTables(options: TablesOptions): Promise<void> {
  const { results: places, format, chart, force, json } = options;
  if (json && format !== 'text') {
    throw new UserError('--json and --format contradict one another', { expected: 'one of them' });
  }
  checkPredictions(options);
  if (chart !== null && !chart.toLowerCase().endsWith('.png')) {
    throw new UserError(`--chart cannot be ${chart}`, { expected: 'the name of a PNG file, ending in .png' });
  }
  if (chart !== null && existsSync(chart) && !force) {
    throw new UserError(`${chart} already exists`, { remedy: 'use --force to replace it, or choose another --chart' });
  }
  const searched = places.length > 0 ? places : ['.'];
  const leftOut = (error: UserError) => void process.stderr.write(`left out: ${reasonOf(error)}\n`);
  const found = await findResults(searched, leftOut);
  const results = found.map(({ result }) => result);
  const asked = predictionsText(results, options);
  if (asked !== null) {
    process.stdout.write(`${asked}\n`);
    return;
  }
  if (chart !== null) {
    await writeChart(chart, results);
    process.stderr.write(`wrote ${chart}\n`);
  }
  const segmentations = (await findSegmentations(searched, leftOut)).map(({ result }) => result);
  const tables = evaluationTables(results, PUBLISHED, segmentations);
  process.stdout.write(json ? `${JSON.stringify({ tables })}\n` : formatTables(tables, format));
  if (results.length + segmentations.length === 0) {
    process.stderr.write('no results of your own were found: all values are published ones\n');
  }
}

function formatTables(tables: readonly ResultTable[], format: TablesOptions['format']): string {
  if (format !== 'text') return tables.map(TABLE_WRITERS[format]).join(format === 'csv' ? '\r\n' : '\n');
  const { colour, columns } = terminalOf(process.stdout);
  return `${tables.map((table) => tableText(table, colour, columns)).join('\n\n')}\n`;
}
