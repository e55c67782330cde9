import { count, createConsole, formatDuration } from '../core/base/console.js';
import { UserError } from '../core/base/errors.js';
import { programVersion } from '../core/base/version.js';
import { outOfMemoryForFeatures } from '../core/engine/memory.js';
import { startEngine } from '../core/engine/start.js';
import { type ExtractOptions, extractFeatures, type FeatureTable } from '../core/eval/features.js';
import { checkFeaturesFile, writeFeatures } from '../core/eval/features-file.js';
import { atImageSize, type FeatureNetwork, loadNetwork } from '../core/eval/network.js';
import { openSplit, type SplitImages } from '../core/eval/open-labelled.js';
import { showRows } from '../core/report/row-progress.js';
import type { FeaturesFlags } from './features.js';
import { numberFrom0, wholeNumber } from './numbers.js';
import { configuredDataSets } from './plugins.js';

/** Computes features and writes them, saying what was done. */
export async function runFeatures(checkpoint: string, data: string, flags: FeaturesFlags): Promise<void> {
  const console = createConsole(flags.json === true);
  const { out, layers: kind } = flags;
  const threads = wholeNumber('--threads', flags.threads, 1);
  const imageSize = wholeNumber('--image-size', flags.imageSize, 1);
  const asked = extractOptions(flags);
  checkFeaturesFile(out, flags.force === true);
  const split = await openSplit(data, flags.split ?? null, await configuredDataSets());
  const engine = await startEngine(flags.engine, { ...(threads !== null && { threads }) });
  const loaded = await loadNetwork(checkpoint, flags.encoder ?? null);
  const network = imageSize === null ? loaded : atImageSize(loaded, imageSize);

  console.line(`network  ${describeNetwork(network)}`);
  console.line(`data     ${count(split.images.length, 'image')}: ${split.images.description}`);
  for (const note of split.notes) console.warn(`note     ${note}`);
  console.line(`engine   ${engine.name} ${engine.version}, ${engine.device}, threads: ${engine.threads}`);
  const options = { ...asked, transform: flags.transform ?? split.transform };
  const { table, computed, seconds } = await timed(flags, (onProgress) =>
    extractFeatures(engine, network, split.images, { ...options, onProgress }).catch((error: unknown) => {
      throw outOfMemoryForFeatures(error, options.batchSize) ?? error;
    }),
  );
  const facts = factsOf(network, split, options, flags);
  const files = await writeFeatures(table, { path: out, kind, classes: split.classes, facts });
  network.dispose();

  for (const { name, reason } of table.unreadable) console.warn(`left out: ${name}: ${reason}`);
  const columns = table.width * (kind === 'last' ? 1 : table.layers);
  const imagesPerSecond = computed === 0 ? null : Number((computed / seconds).toFixed(2));
  const speed = imagesPerSecond === null ? '' : `, ${imagesPerSecond} images/s`;
  console.line(`${table.rows} rows of ${columns} features, ${computed} computed, ${formatDuration(seconds)}${speed}`);
  console.line(`files    ${files.join(', ')}`);
  if (!flags.json) return;
  const { unreadable, rows } = table;
  const { name, version, device } = engine;
  const used = { name, version, device, threads: engine.threads };
  const document = {
    files,
    notes: split.notes,
    rows,
    columns,
    computed,
    seconds,
    imagesPerSecond,
    unreadable,
    engine: used,
    ...facts,
  };
  process.stdout.write(`${JSON.stringify(document)}\n`);
}

/** Runs an extraction with its progress on show; counts the rows that were not there before. */
async function timed(
  flags: FeaturesFlags,
  extract: (onProgress: (done: number, total: number) => void) => Promise<FeatureTable>,
): Promise<{ table: FeatureTable; computed: number; seconds: number }> {
  const progress = showRows(flags.json ? process.stderr : process.stdout);
  const started = performance.now();
  let before: number | undefined;
  try {
    const table = await extract((done, total) => {
      before ??= done;
      progress.update(done, total);
    });
    const seconds = Number(((performance.now() - started) / 1000).toFixed(3));
    return { table, computed: table.rows - (before ?? 0), seconds };
  } finally {
    progress.stop();
  }
}

function extractOptions(flags: FeaturesFlags): Omit<ExtractOptions, 'transform'> {
  const megabytes = numberFrom0('--cache-limit', flags.cacheLimit);
  if (megabytes !== null && flags.cache === undefined) {
    throw new UserError('--cache-limit limits nothing without a cache', {
      expected: '--cache DIR beside it',
      remedy: 'add --cache, or leave --cache-limit out',
    });
  }
  const maxUnreadable = numberFrom0('--max-unreadable', flags.maxUnreadable, 1) as number;
  const megapixels = numberFrom0('--max-megapixels', flags.maxMegapixels) as number;
  return {
    views: wholeNumber('--views', flags.views, 1) ?? 'test',
    seed: wholeNumber('--seed', flags.seed, 0) as number,
    batchSize: wholeNumber('--batch-size', flags.batchSize, 1) as number,
    cache: flags.cache ?? null,
    ...(megabytes !== null && { cacheBytes: megabytes * 1e6 }),
    pixelLimit: Math.floor(megapixels * 1e6),
    maxUnreadable,
  };
}

/** What a reader of the file may want to know, as text. */
function factsOf(
  network: FeatureNetwork,
  { images }: SplitImages,
  { views, transform, seed }: ExtractOptions,
  { layers, split }: FeaturesFlags,
): Record<string, string> {
  const { facts, arch, imageSize } = network;
  return {
    network: arch,
    method: facts.method ?? '',
    encoder: facts.encoder ?? '',
    checkpoint: facts.checkpoint ?? '',
    fingerprint: facts.fingerprint,
    layers,
    imageSize: String(imageSize),
    data: images.description,
    ...(split && { split }),
    transform,
    views: String(views),
    ...(views !== 'test' && { seed: String(seed) }),
    programVersion: programVersion(),
  };
}

function describeNetwork({ arch, imageSize, facts }: FeatureNetwork): string {
  const epochs = facts.epochs === null ? '' : `, ${count(facts.epochs, 'epoch')}`;
  const source = facts.pretrainedOn === null ? '' : ` on ${facts.pretrainedOn}`;
  return `${arch} at ${imageSize} px, ${facts.encoder} encoder of ${facts.checkpoint}${epochs}${source}`;
}
