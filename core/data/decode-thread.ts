import { parentPort, workerData } from 'node:worker_threads';
import { reasonOf } from '../base/errors.js';
import { Slots } from '../base/pool.js';
import { randomCrops } from './crop.js';
import type { CropAnswer, CropJob, DecoderSettings } from './decoders.js';

// What runs in a thread of `startDecoders`: crops one image after the other, in the order in which they are asked for.
// This module is started, never imported.
const { seed, views } = workerData as DecoderSettings;

/** Images that are worked on at the same time: while sharp's pool of four threads decodes, this one scales. */
const slots = new Slots(4);
let pending = 0;
let isClosing = false;

parentPort?.on('message', async (job: CropJob | null) => {
  isClosing ||= job === null;
  if (job) {
    pending++;
    await slots.run(() => crop(job)).finally(() => pending--);
  }
  if (isClosing && pending === 0) parentPort?.close();
});

async function crop({ id, source, counters, into }: CropJob): Promise<void> {
  if (isClosing) return;
  const item = { name: '', source: typeof source === 'string' ? source : async () => source };
  const answer: CropAnswer = { id };
  try {
    await randomCrops(item, views, seed, counters, into);
  } catch (error) {
    answer.reason = reasonOf(error);
  }
  parentPort?.postMessage(answer);
}
