import { writeFileAtomically } from '../core/base/atomic.js';
import { type Console, quote } from '../core/base/console.js';
import { explainWriteError, UserError } from '../core/base/errors.js';
import { checkOutside, makeFolders } from '../core/base/folders.js';
import type { FileLock } from '../core/base/lock.js';
import { commandName, PROGRAM, programVersion, type StopSignalName, terminalOf } from '../core/base/program.js';
import { findMethod } from '../core/config/choose-method.js';
import { readConfigFile } from '../core/config/file.js';
import { requireOneBatch } from '../core/data/loader.js';
import { findDataSet } from '../core/data/open.js';
import { openLabelled } from '../core/eval/labelled-data.js';
import { checkMethodOptions } from '../core/methods/create.js';
import { CPU_SMALL } from '../core/methods/shared.js';
import { type Comparison, comparisonRows, comparisonTable } from '../core/report/comparison.js';
import { writeComparisonChart } from '../core/report/comparison-chart.js';
import { tableMarkdown, tableText } from '../core/report/table-formats.js';
import { compare } from '../core/run/compare/compare.js';
import { makePlan } from '../core/run/compare/make-plan.js';
import { type Asked, comparisonFolder, type Given, readPlan, requireSameComparison } from '../core/run/compare/plan.js';
import { runOptions } from '../core/run/compare/run-options.js';
import type { StopSignal } from '../core/run/interrupt.js';
import { checkBudget, TIMED_EPOCHS } from '../core/run/trials/calibrate.js';
import { requireSameData } from '../core/run/trials/data-facts.js';
import { inOneProcess } from './in-one-process.js';
import { COMPARED_OPTIONS, type CompareOptions } from './options/compare.js';
import { methodsOf, pluginNames, pluginsWith } from './plugins.js';

const FORMAT = `${PROGRAM}-comparison-1` as const;
const USUAL_SEEDS = 3;

/** Trains methods on the same images for the same time, judges them, and writes a table and a chart; gives the exit code. */
export function runCompare(options: CompareOptions): Promise<number> {
  const { plan, lock } = comparisonFolder(options.out);
  const words = { it: 'comparison', doing: 'comparing', goOn: `compare --out ${quote(options.out)}` } as const;
  return inOneProcess(options.json, { plan, lock, ...words }, (...shared) => compareLocked(options, ...shared));
}

/** @returns the signal that stopped it; null where the comparison is complete */
async function compareLocked(
  options: CompareOptions,
  lock: FileLock,
  console: Console,
  stop: StopSignal,
): Promise<StopSignalName | null> {
  const { out, maxUnreadable, maxMegapixels } = options;
  const before = await readPlan(out);
  const given = givenOf(options);
  if (before) requireSameComparison(given, before, COMPARED_OPTIONS);
  const asked = before?.asked ?? askedFor(given);
  const named = pluginNames((await readConfigFile(undefined))?.options.plugins);
  const plugins = await pluginsWith(named);
  const methods = methodsOf(plugins);
  for (const name of asked.methods) findMethod(methods, name, '');
  const dataSets = plugins.flatMap((plugin) => plugin.dataSets ?? []);
  const opened = await openLabelled(asked.data, dataSets);
  checkOutside(
    out,
    [asked.data],
    dataSets.map(({ name }) => name),
    "the comparison's folder",
  );
  requireOneBatch(opened.data.train, asked.batchSize);
  if (before) requireSameData(opened, before.data, asked.data, 'comparison');
  const { engine, device, precision, threads, memory, decodeThreads } = options;
  const surroundings = {
    methods,
    plugins,
    trainingData: findDataSet(asked.data, dataSets) ? asked.data : `${opened.dataSet.name}:${asked.data}`,
    running: {
      engine,
      device,
      precision,
      threads,
      memory,
      decodeThreads,
      maxUnreadable,
      maxMegapixels,
      plugins: named,
    },
  };
  for (const name of asked.methods) {
    // What is wrong is told before anything is written.
    const method = findMethod(methods, name, '');
    const epochs = asked.epochs ?? TIMED_EPOCHS;
    checkMethodOptions(method, runOptions(asked, surroundings, { method, seed: 0, epochs, out }).options);
  }
  await makeFolders(out).catch((error: unknown) => {
    throw explainWriteError(error, out);
  });
  await lock.acquire();
  console.line(`data       ${opened.data.train.description}; ${opened.data.test.description}`);
  const plan = before ?? (await makePlan(asked, opened, { ...surroundings, out, console, stop }));
  if (!plan) return stop.received;
  const known = { plugins: pluginsWith, methods: methodsOf };
  const found = await compare({ ...surroundings, out, plan, opened, known, console, stop });
  if (typeof found === 'string') return found;
  await report(found, options, console);
  return null;
}

function givenOf(options: CompareOptions): Given {
  const { methods, data, seeds, budget, epochs, imageSize, patchSize, dim, depth, heads, batchSize } = options;
  if (budget !== null && epochs !== null) {
    throw new UserError('--budget and --epochs contradict one another', { expected: 'one of them' });
  }
  checkBudget(budget);
  const names = [...new Set(methods)];
  const size = { imageSize, patchSize, dim, depth, heads, batchSize };
  return { methods: names.length === 0 ? null : names, data, seeds, budget, epochs, ...size };
}

/** What a new comparison is asked for. */
function askedFor(given: Given): Asked {
  const missing = [
    given.methods === null && '--methods',
    given.data === null && '--data',
    given.budget === null && given.epochs === null && '--budget',
  ].filter((flag) => flag !== false);
  if (missing.length > 0) {
    throw new UserError(
      `${missing.join(', ')} ${missing.length === 1 ? 'is' : 'are'} missing, and --out holds no comparison`,
      {
        expected: 'methods, data and the training time of each run',
        remedy: `${commandName()} compare --methods ijepa,mae --data shapes:2048 --budget 10m --out comparison, for example`,
      },
    );
  }
  const { imageSize, patchSize, dim, depth, heads, batchSize } = CPU_SMALL;
  const usual = { seeds: USUAL_SEEDS, imageSize, patchSize, dim, depth, heads, batchSize };
  const isGiven = ([, value]: [string, unknown]) => value !== null;
  return {
    budget: null,
    epochs: null,
    ...usual,
    ...Object.fromEntries(Object.entries(given).filter(isGiven)),
  } as Asked;
}

/** Prints the table and writes it with facts and chart. */
async function report(comparison: Comparison, { out, json }: CompareOptions, console: Console): Promise<void> {
  const { facts, table, chart } = comparisonFolder(out);
  const drawn = comparisonTable(comparison);
  const { colour, columns } = terminalOf(json ? process.stderr : process.stdout);
  console.line(`\n${tableText(drawn, colour, columns)}`);
  const document = {
    format: FORMAT,
    programVersion: programVersion(),
    ...comparison,
    rows: comparisonRows(comparison),
  };
  await writeFileAtomically(facts, `${JSON.stringify(document, null, 2)}\n`);
  await writeFileAtomically(table, tableMarkdown(drawn));
  await writeComparisonChart(chart, comparison);
  const files = [facts, table, chart];
  console.line(`\nfiles      ${files.join(', ')}`);
  if (json) process.stdout.write(`${JSON.stringify({ ...document, files })}\n`);
}
