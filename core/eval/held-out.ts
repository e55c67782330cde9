import { RandomStream } from '../base/random.js';

/**
 * A random tenth of the training samples, on which choices are made (which head, which regularisation), and the rest:
 * the same for everything that is chosen. None is held out where there are fewer than ten.
 */
export function holdOut(rows: number): { held: Uint32Array; rest: Uint32Array } {
  const order = new RandomStream(0, 'held out').permutation(rows);
  const count = Math.floor(rows / 10);
  return { held: order.slice(0, count), rest: order.slice(count) };
}
