import { type Console, createConsole, SILENT } from '../core/base/console.js';
import { openData } from '../core/data/open.js';
import type { FeatureTable } from '../core/eval/features.js';
import { findHead, readHead } from '../core/eval/head-file.js';
import { withoutLabels } from '../core/eval/labelled-data.js';
import { classProbabilities } from '../core/eval/linear-head.js';
import { featureColumns } from '../core/eval/samples.js';
import { featuresByNamed } from './named-features.js';
import type { PredictOptions } from './options/using.js';
import { configuredDataSets } from './plugins.js';
import { inRanks } from './ranks.js';

/** Prints the classes that a probe's head gives to images, with their probabilities; rank 0 alone does. */
export async function runPredict(asked: PredictOptions): Promise<number> {
  return inRanks(asked, async (ranks) => {
    const { json, maxMegapixels, maxUnreadable } = asked;
    const console = ranks.rank === 0 ? createConsole(json) : SILENT;
    const probe = await findHead(asked.probe);
    const stored = await readHead(probe);
    const { classes, facts, transform, interpolation } = stored;
    const collection = await openData(asked.images, await configuredDataSets());
    for (const note of collection.notes ?? []) console.warn(`note     ${note}`);
    const top1 = Number(facts.top1).toFixed(1);
    console.line(
      `head     ${facts.head}: ${classes.length} classes; ${top1}% of the test images right, of ${facts.data}`,
    );
    const progress = console.transfer('computed', 'images');
    const pixelLimit = Math.floor(maxMegapixels * 1e6);
    const seen = { transform, interpolation, pixelLimit, maxUnreadable, onProgress: progress.update };
    const images = withoutLabels(collection);
    const table = await featuresByNamed(probe, facts, images, seen, asked, ranks).finally(progress.stop);
    if (table) tell(console, probe, stored, table, asked);
    return 0;
  });
}

function tell(
  console: Console,
  probe: string,
  { head, classes }: Awaited<ReturnType<typeof readHead>>,
  table: FeatureTable,
  { top, json }: PredictOptions,
): void {
  const features = featureColumns(table, head.features);
  const width = head.mean.length;
  const images = table.names.map((name, row) => {
    const probabilities = classProbabilities(head, features.subarray(row * width, (row + 1) * width));
    const order = [...probabilities.keys()].sort((a, b) => probabilities[b] - probabilities[a]);
    const best = order.slice(0, top).map((c) => ({ class: classes[c], probability: probabilities[c] }));
    return { name, classes: best };
  });
  for (const { name, classes: best } of images) {
    console.line(name);
    for (const { class: word, probability } of best) {
      console.line(`  ${(100 * probability).toFixed(1).padStart(5)}%  ${word}`);
    }
  }
  const { unreadable } = table;
  for (const { name, reason } of unreadable) console.warn(`left out: ${name}: ${reason}`);
  if (json) process.stdout.write(`${JSON.stringify({ probe, images, unreadable })}\n`);
}
