import { dirname, join } from 'node:path';
import { removeLeftOvers, writeFileAtomically } from '../core/base/atomic.js';
import { type Console, createConsole, SILENT } from '../core/base/console.js';
import { explainWriteError, UserError } from '../core/base/errors.js';
import { makeFolders } from '../core/base/folders.js';
import { terminalOf } from '../core/base/program.js';
import { isAbort } from '../core/data/skipped.js';
import type { Engine } from '../core/engine/contract.js';
import { outOfMemoryForFeatures } from '../core/engine/memory.js';
import { startEngine } from '../core/engine/start.js';
import { type EvaluationTask, type ExtractionSettings, evaluateNetwork } from '../core/eval/evaluate.js';
import { writeHead } from '../core/eval/head-file.js';
import { type HelpingRanks, helpEvaluation, helpingRanks } from '../core/eval/helping-ranks.js';
import type { OpenedData } from '../core/eval/labelled-data.js';
import type { Measures } from '../core/eval/measures.js';
import { pixelNeighbours } from '../core/eval/neighbours.js';
import { atImageSize, type FeatureNetwork, loadNetwork, randomNetwork } from '../core/eval/network.js';
import type { EvaluationProgress } from '../core/eval/progress.js';
import { LINEAR_PROTOCOL, quickProtocol } from '../core/eval/protocols.js';
import { addResults, type EvaluationKind, type EvaluationResult } from '../core/eval/results.js';
import { PUBLISHED } from '../core/methods/published.js';
import { writeChart } from '../core/report/evaluation-chart.js';
import { protocolText, showEvaluation } from '../core/report/evaluation-text.js';
import { measuresText } from '../core/report/measures-text.js';
import { TABLE_WRITERS, tableText } from '../core/report/table-formats.js';
import { evaluationTables } from '../core/report/tables.js';
import { listenForStop, signalExitCode } from '../core/run/interrupt.js';
import { runCompute } from '../core/run/run-log.js';
import { RankLost } from '../core/train/communicator/guard.js';
import { type Ranks, SharedError, threadsOf } from '../core/train/communicator/ranks.js';
import { requireSameImages, requireSameNetworks } from './evaluation-ranks.js';
import { type EvaluationOptions, extractionSettings } from './options/evaluation.js';
import { votingOf } from './options/measures.js';

/** Data on which networks are to be judged. */
export type Judged = OpenedData & { kind: EvaluationKind };

/** What adds to the result of a network on some data: fine-tuning. */
export type Refine = (
  result: EvaluationResult,
  context: { engine: Engine; network: FeatureNetwork; task: EvaluationTask; settings: ExtractionSettings },
  progress: EvaluationProgress,
) => Promise<EvaluationResult>;

/** Below this many training images `quick` is the default; with few labels below fewer: 1% of ImageNet is 12,811. */
const SMALL_DATA = 100_000;
const SMALL_PART = 10_000;
const ENDINGS = { csv: 'csv', markdown: 'md', latex: 'tex' } as const;

/**
 * Judges the networks of checkpoints, each beside itself at random initialisation, on data that are opened when it is their
 * turn; prints and writes the tables. All ranks compute features; the rest is done by rank 0 alone.
 * @param extras what an evaluation has beside its heads: what refines a result, what that does to such networks, in lines
 *   for people, what the JSON document says beside the results, and what else is measured
 * @returns the exit code
 */
export async function runEvaluations(
  ranks: Ranks,
  checkpoints: readonly string[],
  data: readonly (() => Promise<Judged>)[],
  options: EvaluationOptions,
  extras: {
    refine?: Refine;
    protocol?: (task: EvaluationTask, network: FeatureNetwork) => readonly string[];
    more?: Record<string, unknown>;
    measures?: Measures;
  } = {},
): Promise<number> {
  const { out, json } = options;
  const console = ranks.rank === 0 ? createConsole(json) : SILENT;
  if (options.formats.length > 0 && out === null) {
    throw new UserError('--formats names files, but no folder for them was named', { remedy: 'add --out DIR' });
  }
  votingOf(options); // wrong ones end here
  const settings = extractionSettings(options, options.cache ?? (out === null ? null : join(out, 'features')));
  if (out !== null && ranks.rank === 0) {
    await makeFolders(out)
      .then(() => removeLeftOvers(out))
      .catch((error: unknown) => {
        throw explainWriteError(error, out);
      });
  }
  const { engine, networks } = await prepareNetworks(ranks, checkpoints, options);
  console.line(`engine     ${engine.name} ${engine.version}, ${engine.device}, threads: ${engine.threads}`);
  if (ranks.title !== null) console.line(`ranks      ${ranks.title}`);

  const stop = listenForStop(() => {});
  const stoppable = { ...settings, ranks, signal: stop.aborted };
  const progress = showEvaluation(console);
  const results: EvaluationResult[] = [];
  const heads: string[] = [];
  let helping: HelpingRanks | undefined;
  try {
    for (const open of data) {
      const judged = await open();
      await requireSameImages(ranks, [judged.data.train, judged.data.test]);
      if (ranks.rank > 0) {
        const stopped = await helpEvaluation(engine, networks, judged.data, stoppable);
        if (stopped !== null) return signalExitCode(stopped);
        continue;
      }
      helping = helpingRanks(ranks);
      const task = { ...taskOf(judged, options), ...(extras.measures && { measures: extras.measures }) };
      announce(console, task, extras.protocol?.(task, networks[0]) ?? []);
      const { transform, interpolation = 'bicubic' } = task.protocol;
      progress.stage('nearest neighbours of the raw pixels');
      const pixels = await pixelNeighbours(engine, task.data, { ...stoppable, transform, interpolation }, task.voting);
      for (const network of networks) {
        const { facts, arch, imageSize } = network;
        const { weights, encoder, checkpoint, epochs } = facts;
        const source = weights === 'random' ? 'random initialisation' : `${encoder} encoder of ${checkpoint}`;
        console.line(`network    ${arch} at ${imageSize} px, ${source}`);
        for (const note of network.notes ?? []) console.warn(`           ${note}`);
        const evaluation = { ...stoppable, helping };
        const { result: probed, head } = await evaluateNetwork(engine, network, task, evaluation, pixels, progress);
        for (const line of measuresText(probed)) console.line(line);
        const context = { engine, network, task, settings: stoppable };
        const result = (await extras.refine?.(probed, context, progress)) ?? probed;
        // It lies in RUN/checkpoints: the log of that run tells what it took.
        const compute = checkpoint === null ? null : runCompute(dirname(dirname(checkpoint)), epochs ?? undefined);
        results.push({ ...result, compute });
        if (out === null) continue;
        await addResults(join(out, 'results.json'), results.slice(-1));
        if (head && weights === 'pretrained')
          heads.push(await writeHead(out, head, network, task.data.classes, probed));
      }
      await helping.end(null);
      helping = undefined;
    }
    progress.stop();
    if (ranks.rank === 0) await report(results, heads, options, console, extras.more);
    return 0;
  } catch (error) {
    progress.stop();
    if (!helping || error instanceof SharedError || error instanceof RankLost) throw error;
    const stopped = stop.received ?? (isAbort(error) ? 'SIGTERM' : null); // another rank was asked to stop
    if (stopped === null) throw outOfMemoryForFeatures(error, settings.batchSize) ?? error;
    await helping.end(stopped);
    const kept = settings.cache === null ? 'add --out DIR to keep features' : 'what was computed is kept';
    process.stderr.write(`ijepa: ${stopped}: stopped; ${kept}, and the same command goes on from there\n`);
    return signalExitCode(stopped);
  } finally {
    stop.release();
    for (const network of networks) network.dispose();
  }
}

/** The engine and the networks, the same on all ranks. */
export async function prepareNetworks(ranks: Ranks, checkpoints: readonly string[], options: EvaluationOptions) {
  const { device, precision, threads } = options;
  const engine = await startEngine(options.engine, { device, precision, threads: threads ?? threadsOf(ranks) });
  const networks = await openNetworks(checkpoints, options);
  await requireSameNetworks(ranks, engine, networks);
  return { engine, networks };
}

/** The networks of the checkpoints, then random ones of the same sizes, each size once. */
async function openNetworks(checkpoints: readonly string[], options: EvaluationOptions): Promise<FeatureNetwork[]> {
  const { imageSize, encoder, baseline, seed } = options;
  const atSize = (network: FeatureNetwork) => (imageSize === null ? network : atImageSize(network, imageSize));
  const pretrained: FeatureNetwork[] = [];
  for (const checkpoint of checkpoints) pretrained.push(atSize(await loadNetwork(checkpoint, encoder)));
  if (!baseline) return pretrained;
  const sizes = new Map(pretrained.map((network) => [`${network.arch} ${network.trainedImageSize}`, network]));
  return [...pretrained, ...[...sizes.values()].map((network) => atSize(randomNetwork(network, seed)))];
}

function taskOf({ dataSet, data, kind }: Judged, options: EvaluationOptions): EvaluationTask {
  const images = data.train.length;
  const small = kind === 'semi-supervised' ? SMALL_PART : SMALL_DATA;
  const protocolName = options.protocol ?? (images < small ? 'quick' : 'paper');
  const isPaper = protocolName === 'paper';
  const paper = dataSet.protocol ?? LINEAR_PROTOCOL;
  const whole = isPaper ? paper : quickProtocol(paper, images, data.classes.length);
  const protocol = options.layers === null ? whole : { ...whole, features: [options.layers] };
  const views = options.views ?? (isPaper ? protocol.epochs : 0);
  const selection = options.select ?? (isPaper ? 'test' : 'validation');
  const { seed } = options;
  return {
    kind,
    dataSet: dataSet.name,
    data,
    protocolName,
    protocol,
    views,
    selection,
    seed,
    voting: votingOf(options),
  };
}

function announce(console: Console, task: EvaluationTask, more: readonly string[]): void {
  const { data, dataSet } = task;
  const { train, test } = data;
  console.line(`data       ${dataSet}: ${data.classes.length} classes; ${train.description}; ${test.description}`);
  for (const note of data.notes ?? []) console.warn(`           ${note}`);
  for (const line of [...protocolText(task), ...more]) console.line(line);
}

async function report(
  results: readonly EvaluationResult[],
  heads: readonly string[],
  asked: EvaluationOptions,
  console: Console,
  more?: object,
) {
  const { out, formats, json } = asked;
  const tables = evaluationTables(results, PUBLISHED).filter(({ groups }) =>
    groups.some(({ rows }) => rows.some(({ source }) => source === 'measured')),
  );
  const { colour, columns } = terminalOf(json ? process.stderr : process.stdout);
  for (const table of tables) console.line(`\n${tableText(table, colour, columns)}`);
  const files: string[] = [];
  if (out !== null && results.length > 0) {
    files.push(join(out, 'results.json'), join(out, 'chart.png'), ...heads);
    await writeChart(join(out, 'chart.png'), results);
    for (const format of formats) {
      const file = join(out, `tables.${ENDINGS[format]}`);
      await writeFileAtomically(file, tables.map(TABLE_WRITERS[format]).join('\n'));
      files.push(file);
    }
    console.line(`\nfiles      ${files.join(', ')}`);
  }
  if (json) process.stdout.write(`${JSON.stringify({ results, files, ...more })}\n`);
}
