import { parentPort, workerData } from 'node:worker_threads';
import { reasonOf } from '../base/errors.js';
import { RandomStream } from '../base/random.js';
import { joinTurns } from './decode/turns.js';
import type { CropAnswer, CropJob, ThreadData } from './decoders.js';
import { randomCrop } from './image.js';

/*
 * What runs in a thread of `startDecoders`: crops one image after the other, in the order in which they are asked for.
 * This module is started, never imported.
 */
const port = parentPort;
const { settings, turns } = workerData as ThreadData;
joinTurns(turns);

/** Images that are asked for at the same time: while sharp's pool of four threads decodes, this one scales. */
const AT_ONCE = 4;
const queue: CropJob[] = [];
let running = 0;
let closing = false;

port?.on('message', (job: CropJob | null) => {
  if (job) queue.push(job);
  else closing = true;
  goOn();
});

function goOn(): void {
  if (closing) queue.length = 0;
  while (running < AT_ONCE && queue.length > 0) {
    running++;
    crop(queue.shift() as CropJob).then((answer) => {
      running--;
      port?.postMessage(answer);
      goOn();
    });
  }
  if (closing && running === 0) port?.close();
}

async function crop({ id, source, counters, into }: CropJob): Promise<CropAnswer> {
  const item = { name: '', source: typeof source === 'string' ? source : async () => source };
  try {
    into.set(await randomCrop(item, settings, new RandomStream(settings.seed, 'crop', ...counters)));
    return { id };
  } catch (error) {
    return { id, reason: reasonOf(error) };
  }
}
