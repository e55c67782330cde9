import { dirname, join } from 'node:path';
import { removeLeftOvers, writeFileAtomically } from '../core/base/atomic.js';
import { type Console, createConsole } from '../core/base/console.js';
import { explainWriteError, UserError } from '../core/base/errors.js';
import { makeFolders } from '../core/base/folders.js';
import { terminalOf } from '../core/base/terminal.js';
import type { Engine } from '../core/engine/contract.js';
import { outOfMemoryForFeatures } from '../core/engine/memory.js';
import { startEngine } from '../core/engine/start.js';
import {
  type EvaluationProgress,
  type EvaluationTask,
  type ExtractionSettings,
  evaluateNetwork,
  type PixelNeighbours,
} from '../core/eval/evaluate.js';
import { atImageSize, type FeatureNetwork, loadNetwork, randomNetwork } from '../core/eval/network.js';
import type { OpenedData } from '../core/eval/open-labelled.js';
import { pixelNeighbours } from '../core/eval/pixels.js';
import { LINEAR_PROTOCOL, quickProtocol } from '../core/eval/protocols.js';
import type { EvaluationKind, EvaluationResult } from '../core/eval/result.js';
import { addResults } from '../core/eval/results-file.js';
import { PUBLISHED } from '../core/methods/published.js';
import { writeChart } from '../core/report/evaluation-chart.js';
import { protocolText, showEvaluation } from '../core/report/evaluation-text.js';
import { tableCsv, tableLatex, tableMarkdown, tableText } from '../core/report/table-formats.js';
import { evaluationTables } from '../core/report/tables.js';
import { runCompute } from '../core/run/compute.js';
import { listenForStop, signalExitCode } from '../core/run/interrupt.js';
import type { EvaluationOptions, Format } from './options/evaluation.js';
import { extractionSettings } from './options/evaluation.js';

/** Data on which networks are to be judged. */
export interface Judged extends OpenedData {
  kind: EvaluationKind;
}

/** What adds to the result of a network on some data: fine-tuning. */
export type Refine = (
  result: EvaluationResult,
  context: { engine: Engine; network: FeatureNetwork; task: EvaluationTask; settings: ExtractionSettings },
  progress: EvaluationProgress,
) => Promise<EvaluationResult>;

/** What an evaluation has beside its heads. */
export interface EvaluationExtras {
  refine?: Refine;
  /** What refining does to such networks, for people. */
  protocol?: (task: EvaluationTask, network: FeatureNetwork) => readonly string[];
  /** What the JSON document says beside the results. */
  more?: Record<string, unknown>;
}

/** Below this many training images `quick` is the default. 1% of ImageNet is 12,811. */
const SMALL_DATA: Readonly<Record<EvaluationKind, number>> = {
  linear: 100_000,
  transfer: 100_000,
  'semi-supervised': 10_000,
};
const FILES: Record<Format, { name: string; write: typeof tableCsv }> = {
  csv: { name: 'tables.csv', write: tableCsv },
  markdown: { name: 'tables.md', write: tableMarkdown },
  latex: { name: 'tables.tex', write: tableLatex },
};

/**
 * Judges the networks of checkpoints, each beside itself at random initialisation, on data that are opened one after the
 * other; prints and writes the tables.
 * @returns the exit code
 */
export async function runEvaluations(
  checkpoints: readonly string[],
  opened: AsyncIterable<Judged>,
  options: EvaluationOptions,
  { refine, protocol, more = {} }: EvaluationExtras = {},
): Promise<number> {
  const { out, json, device, threads } = options;
  const console = createConsole(json);
  if (options.formats.length > 0 && out === null) {
    throw new UserError('--formats names files, but no folder for them was named', { remedy: 'add --out DIR' });
  }
  const settings = extractionSettings(options, options.cache ?? (out === null ? null : join(out, 'features')));
  if (out !== null) await makeFolder(out);
  const engine = await startEngine(options.engine, { device, ...(threads !== null && { threads }) });
  const networks = await openNetworks(checkpoints, options);
  console.line(`engine     ${engine.name} ${engine.version}, ${engine.device}, threads: ${engine.threads}`);

  const abort = new AbortController();
  const stop = listenForStop((signal) => abort.abort(new UserError(`${signal}: stopped`)));
  const stoppable = { ...settings, signal: abort.signal };
  const progress = showEvaluation(console);
  const results: EvaluationResult[] = [];
  try {
    for await (const judged of opened) {
      const task = taskOf(judged, options);
      announce(console, task, protocol?.(task, networks[0] as FeatureNetwork) ?? []);
      const { transform, interpolation = 'bicubic' } = task.protocol;
      progress.stage('nearest neighbours of the raw pixels');
      const pixels = await pixelNeighbours(engine, task.data, { ...stoppable, transform, interpolation });
      for (const network of networks) {
        results.push(await judge(engine, network, task, stoppable, pixels, progress, console, refine));
        if (out !== null) await addResults(join(out, 'results.json'), results.slice(-1));
      }
    }
    progress.stop();
    await report(results, options, console, more);
    return 0;
  } catch (error) {
    progress.stop();
    if (!stop.received) throw outOfMemoryForFeatures(error, settings.batchSize) ?? error;
    const kept = settings.cache === null ? 'add --out DIR to keep features' : 'what was computed is kept';
    process.stderr.write(`ijepa: ${stop.received}: stopped; ${kept}, and the same command goes on from there\n`);
    return signalExitCode(stop.received);
  } finally {
    stop.release();
    for (const network of networks) network.dispose();
  }
}

/** The networks of the checkpoints, then random ones of the same sizes, each size once. */
async function openNetworks(
  checkpoints: readonly string[],
  { imageSize, encoder, baseline, seed }: EvaluationOptions,
): Promise<FeatureNetwork[]> {
  const atSize = (network: FeatureNetwork) => (imageSize === null ? network : atImageSize(network, imageSize));
  const pretrained: FeatureNetwork[] = [];
  for (const checkpoint of checkpoints) pretrained.push(atSize(await loadNetwork(checkpoint, encoder)));
  if (!baseline) return pretrained;
  const sizes = new Map<string, FeatureNetwork>();
  for (const network of pretrained) sizes.set(JSON.stringify([network.arch, network.trainedImageSize]), network);
  return [...pretrained, ...[...sizes.values()].map((network) => atSize(randomNetwork(network, seed)))];
}

/** Judges one network, with what pretraining it took. */
async function judge(
  engine: Engine,
  network: FeatureNetwork,
  task: EvaluationTask,
  settings: ExtractionSettings,
  pixels: PixelNeighbours,
  progress: EvaluationProgress,
  console: Console,
  refine: Refine | undefined,
): Promise<EvaluationResult> {
  const { facts, arch, imageSize } = network;
  const source =
    facts.weights === 'random' ? 'random initialisation' : `${facts.encoder} encoder of ${facts.checkpoint}`;
  console.line(`network    ${arch} at ${imageSize} px, ${source}`);
  const probed = await evaluateNetwork(engine, network, task, settings, pixels, progress);
  const result = refine ? await refine(probed, { engine, network, task, settings }, progress) : probed;
  const { checkpoint, epochs } = facts;
  // A checkpoint lies in RUN/checkpoints.
  const run = checkpoint === null ? null : dirname(dirname(checkpoint));
  return { ...result, compute: run === null ? null : await runCompute(run, epochs ?? undefined) };
}

function taskOf({ dataSet, data, kind }: Judged, options: EvaluationOptions): EvaluationTask {
  const images = data.train.length;
  const protocolName = options.protocol ?? (images < SMALL_DATA[kind] ? 'quick' : 'paper');
  const paper = dataSet.protocol ?? LINEAR_PROTOCOL;
  const protocol = protocolName === 'paper' ? paper : quickProtocol(paper, images, data.classes.length);
  const views = options.views ?? (protocolName === 'paper' ? protocol.epochs : 0);
  const selection = options.select ?? (protocolName === 'paper' ? 'test' : 'validation');
  return { kind, dataSet: dataSet.name, data, protocolName, protocol, views, selection, seed: options.seed };
}

function announce(console: Console, task: EvaluationTask, more: readonly string[]): void {
  const { data, dataSet } = task;
  console.line(
    `data       ${dataSet}: ${data.classes.length} classes; ${data.train.description}; ${data.test.description}`,
  );
  for (const note of data.notes ?? []) console.warn(`           ${note}`);
  for (const line of [...protocolText(task), ...more]) console.line(line);
}

async function report(
  results: readonly EvaluationResult[],
  { out, formats, json }: EvaluationOptions,
  console: Console,
  more: Record<string, unknown>,
): Promise<void> {
  const tables = evaluationTables(results, PUBLISHED).filter(({ groups }) =>
    groups.some(({ rows }) => rows.some(({ source }) => source === 'measured')),
  );
  const { colour, columns } = terminalOf(json ? process.stderr : process.stdout);
  for (const table of tables) console.line(`\n${tableText(table, colour, columns)}`);
  const files: string[] = [];
  if (out !== null && results.length > 0) {
    files.push(join(out, 'results.json'), join(out, 'chart.png'));
    await writeChart(join(out, 'chart.png'), results);
    for (const format of formats) {
      const { name, write } = FILES[format];
      await writeFileAtomically(join(out, name), tables.map(write).join('\n'));
      files.push(join(out, name));
    }
    console.line(`\nfiles      ${files.join(', ')}`);
  }
  if (json) process.stdout.write(`${JSON.stringify({ results, files, ...more })}\n`);
}

async function makeFolder(path: string): Promise<void> {
  try {
    await makeFolders(path);
    await removeLeftOvers(path);
  } catch (error) {
    throw explainWriteError(error, path);
  }
}
