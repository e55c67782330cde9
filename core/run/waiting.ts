import { quote } from '../base/console.js';
import { PROGRAM } from '../base/program.js';
import type { ImageCollection } from '../contract/data-sets.js';
import { readPicture } from '../data/read-picture.js';

/** Fraction of the time that waiting for images may take before something should be done about it. */
const MAX_FRACTION = 0.05;
/** Seconds of waiting before the fraction says something. The first step does not count: nothing can be ready for it. */
const MIN_SECONDS = 1;
/** Crops of 224 pixels are cut out of pictures whose shorter side has 256 pixels; of other sizes likewise. */
const SHORTER_SIDE = 256 / 224;
/** Images of which the first that can be read tells how large they are. */
const SAMPLED = 8;

/** How much of the time of a session is spent waiting for images, and what to do where it is too much. */
export class Waiting {
  #steps = 0;
  #waitSeconds = 0;
  #seconds = 0;
  #isTold = false;

  constructor(
    private readonly images: Pick<ImageCollection, 'length' | 'item'>,
    private readonly options: { data: readonly string[]; imageSize: number; maxMegapixels: number },
    private readonly warn: (text: string) => void,
  ) {}

  /** @param seconds of the whole step, with its waiting */
  add(waitSeconds: number, seconds: number): void {
    if (this.#steps++ === 0) return;
    this.#waitSeconds += waitSeconds;
    this.#seconds += seconds;
  }

  /** Says what to do, once, where images do not come fast enough and smaller ones would do. */
  async advise(): Promise<void> {
    const fraction = this.#waitSeconds / this.#seconds;
    if (this.#isTold || this.#waitSeconds < MIN_SECONDS || fraction <= MAX_FRACTION) return;
    this.#isTold = true;
    const { data, imageSize } = this.options;
    const size = Math.ceil(imageSize * SHORTER_SIDE);
    if (!((await this.#shorterSide()) > size)) return;
    this.warn(
      `${(100 * fraction).toFixed(0)}% of the time (${this.#waitSeconds.toFixed(1)} of ${this.#seconds.toFixed(1)} s) went by waiting for images; ` +
        `smaller copies are read faster: npx ${PROGRAM} data pack ${data.map(quote).join(' ')} --resize ${size} --out DIR`,
    );
  }

  /** The shorter side of an image, in pixels; 0 where none can be read, or none lies in a data set but all are drawn for the run. */
  async #shorterSide(): Promise<number> {
    for (let index = 0; index < Math.min(SAMPLED, this.images.length); index++) {
      const item = this.images.item(index);
      if (item.place === undefined) continue;
      const picture = await readPicture(item, this.options.maxMegapixels * 1e6).catch(() => null);
      if (picture) return Math.min(picture.width, picture.height);
    }
    return 0;
  }
}
