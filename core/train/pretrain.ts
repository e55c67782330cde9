import { existsSync } from 'node:fs';
import { relative } from 'node:path';
import { latestCheckpoint, loadCheckpoint } from '../checkpoint/checkpoint.js';
import { createRunFolder, openRunFolder, type RunFolder } from '../checkpoint/run-folder.js';
import { compareWithRun, readRunRecord, writeRunRecord } from '../config/record.js';
import type { ResolvedOptions } from '../config/resolve.js';
import type { Options } from '../config/schema.js';
import { cropSettings, maskSettings, modelSize, objectiveOf } from '../config/settings.js';
import { epochOrders, readBatch, stepsPerEpoch } from '../data/loader.js';
import { openData } from '../data/open.js';
import { SkippedImages } from '../data/skipped.js';
import type { Engine } from '../engine/contract.js';
import { startEngine } from '../engine/start.js';
import { UserError } from '../errors.js';
import { createIjepa, initialWeights } from '../model/ijepa.js';
import { countParameters, encoderShapes, predictorShapes } from '../model/parameters.js';
import type { DataSet, ImageCollection } from '../plugin.js';
import type { Console } from '../report/console.js';
import { writeCurves } from '../report/curves.js';
import { writeMaskPreview } from '../report/mask-preview.js';
import type { StopSignal } from './interrupt.js';
import { type LoopResult, type RunPosition, runLoop } from './loop.js';
import { chooseMicroBatchSize } from './memory.js';
import { initialTrainState } from './step.js';

/** What is to be trained, and how the program is to behave about it. */
export interface PretrainRequest {
  resolved: ResolvedOptions;
  /** Go on with the run in the folder. */
  resume: boolean;
  /** Delete the run in the folder first. */
  force: boolean;
  dataSets: readonly DataSet[];
  console: Console;
  stop: StopSignal;
}

/** What a run did, for people and machines. */
export interface PretrainSummary extends LoopResult {
  out: string;
  engine: { name: string; version: string; device: string; threads: number };
  images: number;
  totalSteps: number;
  checkpoint: string;
}

/** Pictures in masks.png. */
const PREVIEWED = 4;

/**
 * Trains a model, from the beginning or from the newest checkpoint of its run folder.
 *
 * Everything that can be wrong with options, data and engine is found before the run folder is made.
 */
export async function pretrain(request: PretrainRequest): Promise<PretrainSummary> {
  const { resume, console } = request;
  const out = request.resolved.options.out;
  if (out === null) {
    throw new UserError('no folder for the run was named', {
      expected: '--out DIR',
      remedy: 'add --out runs/first, for example',
    });
  }
  checkOutside(out, request.resolved.options.data);
  const record = resume ? await readRunRecord((await openRunFolder(out)).config) : undefined;
  const asked = record ? compareWithRun(request.resolved, record.options) : request.resolved.options;
  const size = modelSize(asked);
  const masks = maskSettings(asked);
  const images = await openImages(asked, request.dataSets);
  if (record && record.fingerprint !== images.fingerprint) {
    throw new UserError(`the images in ${images.description} are not those that the run in ${out} was trained on`, {
      expected: 'the same files, by name and size',
      remedy: 'put them back as they were, or start a new run',
    });
  }
  const engine = await startEngine(asked.engine);
  const options = { ...asked, microBatchSize: chooseMicroBatchSize(asked, engine) };
  const folder = record ? await openRunFolder(out) : await createRunFolder(out, request.force);
  const model = createIjepa(size);
  const position = record ? await readPosition(folder, options) : freshPosition(options);
  const skipped = new SkippedImages(folder.skipped, images.length, options.maxUnreadable);
  const totalSteps = options.epochs * stepsPerEpoch(images.length, options.batchSize);

  announce(console, options, { images, engine, totalSteps, firstStep: position.state.step });
  if (!record) {
    await writeRunRecord(folder.config, options, engine, images);
    await previewMasks(folder, options, images, skipped);
  }
  try {
    const result = await runLoop({ ...request, options, model, masks, images, skipped, folder, engine }, position);
    const { name, version, device, threads } = engine;
    return {
      ...result,
      out,
      engine: { name, version, device, threads },
      images: images.length,
      totalSteps,
      checkpoint: latestCheckpoint(folder.checkpoints),
    };
  } finally {
    await writeCurves(folder).catch((error: Error) => console.warn(`curves.png was not drawn: ${error.message}`));
    model.dispose();
  }
}

/** A run inside the folder of its pictures would find its own pictures there. */
function checkOutside(out: string, data: readonly string[]): void {
  const inside = data.find((folder) => existsSync(folder) && !relative(folder, out).startsWith('..'));
  if (inside === undefined) return;
  throw new UserError(`the run's folder ${out} lies inside the data ${inside}`, {
    expected: 'a folder beside the pictures, so that those that a run draws are not taken for data',
    remedy: 'choose another --out',
  });
}

async function openImages(options: Options, dataSets: readonly DataSet[]): Promise<ImageCollection> {
  const images = await openData(options.data, dataSets);
  if (images.length < options.batchSize) {
    throw new UserError(
      `a batch of ${options.batchSize} images is more than the ${images.length} in ${images.description}`,
      {
        expected: 'at least one whole batch of images',
        remedy: images.length >= 2 ? `use --batch-size ${Math.min(images.length, 16)}, or add images` : 'add images',
      },
    );
  }
  return images;
}

function freshPosition(options: Options): RunPosition {
  const weights = initialWeights(modelSize(options), options.seed, options.init);
  return { state: initialTrainState(weights), watch: null };
}

/** Where the run stopped: its newest checkpoint, or the beginning where it was stopped before the first one. */
async function readPosition(folder: RunFolder, options: Options): Promise<RunPosition> {
  const path = latestCheckpoint(folder.checkpoints);
  if (!existsSync(path)) return freshPosition(options);
  const { state, facts } = await loadCheckpoint(path, modelSize(options));
  return { state, watch: facts.watch };
}

/** Shows the masks of the first step on the very crops that it learns from. */
async function previewMasks(folder: RunFolder, options: Options, images: ImageCollection, skipped: SkippedImages) {
  const settings = { ...cropSettings(options), seed: options.seed, batchSize: options.batchSize };
  const orderOf = epochOrders(options.seed, images.length);
  const crops = await readBatch(images, settings, skipped, orderOf, 0, Math.min(PREVIEWED, options.batchSize));
  const pictures = crops.map((rgb, at) => ({ name: images.item(orderOf(0)[at] as number).name, rgb }));
  await writeMaskPreview(folder.masks, options, pictures, 1);
}

function announce(
  console: Console,
  options: Options,
  run: { images: ImageCollection; engine: Engine; totalSteps: number; firstStep: number },
): void {
  const size = modelSize(options);
  const { encoder, predictor } = size;
  const millions = (count: number) => `${(count / 1e6).toFixed(count < 1e7 ? 2 : 0)} M`;
  const { microBatchSize } = objectiveOf(options);
  console.line(`data       ${run.images.length} images: ${run.images.description}`);
  console.line(
    `model      encoder ${encoder.dim} x ${encoder.depth}, ${encoder.heads} heads, ${millions(countParameters(encoderShapes(size)))} parameters; ` +
      `predictor ${predictor.dim} x ${predictor.depth}, ${millions(countParameters(predictorShapes(size)))}; ` +
      `${size.imageSize} px in patches of ${size.patchSize}`,
  );
  console.line(`objective  ${options.loss}${describeRegularizer(options)}`);
  console.line(
    `engine     ${run.engine.name} ${run.engine.version}, ${run.engine.device}, threads: ${run.engine.threads}`,
  );
  console.line(
    `run        ${options.out}, seed ${options.seed}, ${options.epochs} epochs of batches of ${options.batchSize}` +
      `${microBatchSize < options.batchSize ? ` computed ${microBatchSize} at a time` : ''}, ${run.totalSteps} steps` +
      `${run.firstStep > 0 ? `, going on after step ${run.firstStep}` : ''}`,
  );
}

function describeRegularizer({ regularizer, regularizerWeight }: Options): string {
  return regularizer === 'none'
    ? ', no term against collapse'
    : ` + ${regularizerWeight} x ${regularizer}, a term against collapse that the paper does not have`;
}
