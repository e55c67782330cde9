import { count, createConsole, formatBytes, formatDuration } from '../core/base/console.js';
import { UserError } from '../core/base/errors.js';
import { programVersion } from '../core/base/program.js';
import { outOfMemoryForFeatures } from '../core/engine/memory.js';
import { startEngine } from '../core/engine/start.js';
import { type ExtractOptions, extractFeatures, helpExtraction, rowNames } from '../core/eval/features.js';
import { checkFeaturesFile, writeFeatures } from '../core/eval/features-file.js';
import { openSplit, type SplitImages } from '../core/eval/labelled-data.js';
import { networkFacts } from '../core/eval/named-network.js';
import { atImageSize, type FeatureNetwork, loadNetwork } from '../core/eval/network.js';
import { writeTokens } from '../core/eval/tokens-file.js';
import { gridSize } from '../core/nn/sizes.js';
import { RankLost } from '../core/train/communicator/guard.js';
import { type Ranks, SharedError, threadsOf } from '../core/train/communicator/ranks.js';
import { requireSameImages, requireSameNetworks } from './evaluation-ranks.js';
import { extractionSettings, type FeaturesOptions } from './options/evaluation.js';
import { configuredDataSets } from './plugins.js';
import { inRanks } from './ranks.js';

/** Computes features, and writes them on rank 0, saying what was done. */
export async function runFeatures(asked: FeaturesOptions): Promise<number> {
  return inRanks(asked, async (ranks) => {
    const prepared = await prepare(asked, ranks);
    const { engine, network, split, options } = prepared;
    await requireSameNetworks(ranks, engine, [network]);
    await requireSameImages(ranks, [split.images]);
    if (ranks.rank === 0) await writeAll(asked, prepared);
    else await helpExtraction(engine, network, split.images, options, asked.tokens ? 'tokens' : 'features');
    return 0;
  });
}

/** What is to be computed, on each rank. */
async function prepare(asked: FeaturesOptions, ranks: Ranks) {
  const { out, device, precision, threads, imageSize, seed, views, transform } = asked;
  const settings = extractionSettings(asked, asked.cache);
  checkTokens(asked);
  if (ranks.rank === 0) checkFeaturesFile(out, asked.force, asked.tokens);
  const split = await openSplit(asked.data, asked.split, await configuredDataSets());
  const engine = await startEngine(asked.engine, { device, precision, threads: threads ?? threadsOf(ranks) });
  const loaded = await loadNetwork(asked.checkpoint, asked.encoder);
  const network = imageSize === null ? loaded : atImageSize(loaded, imageSize);
  const seen = { seed, views: views ?? ('test' as const), transform: transform ?? split.transform };
  return { split, engine, network, options: { ...settings, ...seen, ranks } };
}

async function writeAll(
  asked: FeaturesOptions,
  { split, engine, network, options }: Awaited<ReturnType<typeof prepare>>,
): Promise<void> {
  const { out, layers: kind, json } = asked;
  const console = createConsole(json);
  const { arch, facts: trained } = network;
  const epochs = trained.epochs === null ? '' : `, ${count(trained.epochs, 'epoch')}`;
  const source = trained.pretrainedOn === null ? '' : ` on ${trained.pretrainedOn}`;
  const encoder = `${trained.encoder} encoder of ${trained.checkpoint}`;
  console.line(`network  ${arch} at ${network.imageSize} px, ${encoder}${epochs}${source}`);
  console.line(`data     ${count(split.images.length, 'image')}: ${split.images.description}`);
  const notes = [...(network.notes ?? []), ...split.notes];
  for (const note of notes) console.warn(`note     ${note}`);
  console.line(`engine   ${engine.name} ${engine.version}, ${engine.device}, threads: ${engine.threads}`);
  if (options.ranks.title !== null) console.line(`ranks    ${options.ranks.title}`);
  const progress = console.transfer('computed', 'images');
  const started = performance.now();
  let seconds = 0;
  let kept: number | undefined; // rows that were there before
  const onProgress = (done: number, total: number) => {
    kept ??= done;
    progress.update(done, total);
  };
  const file = { path: out, kind, classes: split.classes, facts: factsOf(network, split, options, asked) };
  const extract = (onTokens?: ExtractOptions['onTokens']) =>
    extractFeatures(engine, network, split.images, { ...options, onProgress, ...(onTokens && { onTokens }) })
      .catch((error: unknown) => {
        if (error instanceof SharedError || error instanceof RankLost) throw error;
        throw outOfMemoryForFeatures(error, options.batchSize) ?? error;
      })
      .finally(() => {
        seconds = Number(((performance.now() - started) / 1000).toFixed(3));
        progress.stop();
      });
  const patches = gridSize(network) ** 2;
  const { table, files } = asked.tokens
    ? await writeTokens(file, rowNames(split.images, options.views), [patches, network.size.dim], extract)
    : await extract().then(async (table) => ({ table, files: await writeFeatures(table, file) }));
  network.dispose();

  for (const { name, reason } of table.unreadable) console.warn(`left out: ${name}: ${reason}`);
  const columns = table.width * (kind === 'last' ? 1 : table.layers);
  const computed = table.rows - (kept ?? 0);
  const imagesPerSecond = computed === 0 ? null : Number((computed / seconds).toFixed(2));
  const speed = imagesPerSecond === null ? '' : `, ${imagesPerSecond} images/s`;
  console.line(`${table.rows} rows of ${columns} features, ${computed} computed, ${formatDuration(seconds)}${speed}`);
  const tokens = asked.tokens ? [table.rows, patches, table.width] : null;
  if (tokens)
    console.line(`tokens   ${tokens.join(' x ')}, ${formatBytes(4 * tokens.reduce((all, side) => all * side))}`);
  console.line(`files    ${files.join(', ')}`);
  if (!json) return;
  const { unreadable, rows } = table;
  const done = {
    files,
    notes,
    rows,
    columns,
    ...(tokens && { tokens }),
    computed,
    seconds,
    imagesPerSecond,
    unreadable,
  };
  const used = { name: engine.name, version: engine.version, device: engine.device, threads: engine.threads };
  process.stdout.write(`${JSON.stringify({ ...done, engine: used, ...file.facts })}\n`);
}

/** @throws UserError where tokens are asked for together with what has none */
function checkTokens({ tokens, layers, cache }: FeaturesOptions): void {
  if (!tokens) return;
  if (layers !== 'last') {
    throw new UserError(`--tokens writes the patch tokens of the last layer, and --layers ${layers} was asked for`, {
      remedy: 'leave one of them out',
    });
  }
  if (cache !== null) {
    throw new UserError('--cache keeps features, and --tokens asks for tokens, which are computed each time', {
      remedy: 'leave one of them out',
    });
  }
}

/** What a reader of the file may want to know, as text. */
function factsOf(network: FeatureNetwork, split: SplitImages, how: ExtractOptions, asked: FeaturesOptions) {
  const { views, transform, seed } = how;
  return {
    ...networkFacts(network),
    layers: asked.layers,
    data: split.images.description,
    source: asked.data,
    ...(asked.split && { split: asked.split }),
    transform,
    views: String(views),
    ...(views !== 'test' && { seed: String(seed) }),
    programVersion: programVersion(),
  };
}
