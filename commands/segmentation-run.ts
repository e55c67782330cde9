import { join } from 'node:path';
import { removeLeftOvers } from '../core/base/atomic.js';
import { createConsole } from '../core/base/console.js';
import { explainWriteError, UserError } from '../core/base/errors.js';
import { makeFolders } from '../core/base/folders.js';
import { programVersion } from '../core/base/program.js';
import { isAbort } from '../core/data/skipped.js';
import { outOfMemoryForFeatures } from '../core/engine/memory.js';
import { resultNetwork } from '../core/eval/evaluate.js';
import type { Measures } from '../core/eval/measures.js';
import { segmentationProbe } from '../core/eval/segmentation.js';
import { openMasked } from '../core/eval/segmentation-data.js';
import { SEGMENTATION_FILE, type SegmentationResult, writeSegmentations } from '../core/eval/segmentation-file.js';
import { showEvaluation } from '../core/report/evaluation-text.js';
import { segmentationText } from '../core/report/measures-text.js';
import { archName, methodName } from '../core/report/network-rows.js';
import { listenForStop, signalExitCode } from '../core/run/interrupt.js';
import { type Ranks, SharedError } from '../core/train/communicator/ranks.js';
import { prepareNetworks } from './evaluation-run.js';
import { extractionSettings, type ProbeOptions } from './options/evaluation.js';

/**
 * Judges a network and random weights beside it by the classes of pixels alone, where no labelled images were named. It prints
 * what was found, and writes it to segmentation.json in --out.
 * @returns the exit code
 * @throws UserError where what else was asked for needs labelled images
 */
export async function runSegmentation(
  ranks: Ranks,
  options: ProbeOptions,
  { fewLabels, lidarViews, seeds, attentive }: Omit<Measures, 'segmentation'>,
): Promise<number> {
  const { out, json, seed, batchSize, segmentation: folder } = options;
  if (folder === null || fewLabels !== null || lidarViews > 0 || seeds > 1 || attentive || options.formats.length > 0) {
    throw new UserError('probe judges by labelled images, and none were named', {
      expected: 'labelled images, or pictures with masks, which --segmentation names, and nothing else',
      remedy: 'name labelled images with --data',
    });
  }
  if (ranks.size > 1) {
    throw new SharedError('--segmentation without --data is computed by one process', {
      remedy: 'start it without mpirun or srun',
    });
  }
  const settings = extractionSettings(options, null);
  const data = await openMasked(folder, seed, settings.pixelLimit);
  if (out !== null) {
    await makeFolders(out)
      .then(() => removeLeftOvers(out))
      .catch((error: unknown) => {
        throw explainWriteError(error, out);
      });
  }
  const console = createConsole(json);
  const { engine, networks } = await prepareNetworks(ranks, [options.checkpoint], options);
  const { name, version, device, threads } = engine;
  console.line(`engine     ${name} ${version}, ${device}, threads: ${threads}`);
  const { train, test, classes } = data;
  console.line(
    `data       ${folder}: ${classes.length} classes; ${train.length} training images and ${test.length} test images with masks`,
  );
  const stop = listenForStop(() => {});
  const progress = showEvaluation(console);
  const results: SegmentationResult[] = [];
  try {
    for (const network of networks) {
      const described = resultNetwork(network);
      console.line(`network    ${methodName(described)} ${archName(described)}`);
      const how = { ...settings, seed, signal: stop.aborted, onProgress: progress.images };
      const segmentation = await segmentationProbe(engine, network, data, how, progress.stage);
      for (const line of segmentationText(segmentation)) console.line(line);
      results.push({
        network: described,
        segmentation,
        engine: { name, version, device, threads },
        seed,
        programVersion: programVersion(),
        measuredAt: new Date().toISOString(),
      });
    }
  } catch (error) {
    progress.stop();
    if (!isAbort(error) || stop.received === null) throw outOfMemoryForFeatures(error, batchSize) ?? error;
    process.stderr.write(`ijepa: ${stop.received}: stopped; the same command begins anew\n`);
    return signalExitCode(stop.received);
  } finally {
    progress.stop();
    stop.release();
    for (const network of networks) network.dispose();
  }
  const files = out === null ? [] : [join(out, SEGMENTATION_FILE)];
  for (const file of files) await writeSegmentations(file, results);
  if (files.length > 0) console.line(`files      ${files.join(', ')}`);
  if (json) process.stdout.write(`${JSON.stringify({ results, files })}\n`);
  return 0;
}
