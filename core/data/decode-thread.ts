import { readlinkSync } from 'node:fs';
import { setPriority } from 'node:os';
import { basename } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import { reasonOf } from '../base/errors.js';
import { Slots } from '../base/pool.js';
import { cropsOf } from './crop.js';
import type { CropAnswer, CropJob, DecoderSettings } from './decoders.js';
import type { Picture } from './picture.js';
import { readPicture } from './read-picture.js';

// What runs in a thread of `startDecoders`: crops one image after the other, in the order in which they are asked for.
// This module is started, never imported.
const { seed, views } = workerData as DecoderSettings;

/** Threads that compute a step come first: whenever one of them is preempted by this thread, the others wait for it. */
const NICE = 10;
lowerPriority();

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

/** Lowers the priority of this thread alone, which only Linux allows. */
function lowerPriority(): void {
  if (process.platform !== 'linux') return;
  try {
    setPriority(Number(basename(readlinkSync('/proc/thread-self'))), NICE);
  } catch {
    // It crops at the usual priority then.
  }
}

async function crop({ id, source, counters, into, keepBytes }: CropJob): Promise<void> {
  if (isClosing) return;
  const answer: CropAnswer = { id };
  try {
    const isDecoded = typeof source === 'object' && 'rgb' in source;
    const picture = isDecoded ? source : await decode(source);
    cropsOf(picture, views, seed, counters, into);
    if (!isDecoded && picture.rgb.length <= keepBytes) answer.picture = shared(picture);
  } catch (error) {
    answer.reason = reasonOf(error);
  }
  parentPort?.postMessage(answer);
}

function decode(source: string | Uint8Array): Promise<Picture> {
  const item = { name: '', source: typeof source === 'string' ? source : async () => source };
  return readPicture(item, views[0]?.crop.pixelLimit ?? 1);
}

/** A copy that all threads see. */
function shared({ rgb, width, height }: Picture): Picture {
  const copy = new Uint8Array(new SharedArrayBuffer(rgb.length));
  copy.set(rgb);
  return { rgb: copy, width, height };
}
