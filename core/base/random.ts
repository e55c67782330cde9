import { createHash } from 'node:crypto';
import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64';
import { uniformInt } from 'pure-rand/distribution/uniformInt';
import { xoroshiro128plusFromState } from 'pure-rand/generator/xoroshiro128plus';
import type { RandomGenerator } from 'pure-rand/types/RandomGenerator';

/**
 * A stream of random numbers, fixed by the run's seed, a name and counters.
 *
 * Everything random in a run comes from such a stream: `('masks', step)`, `('crop', epoch, position)`, `('order', epoch)`.
 * A stream has no state that outlives its use, so a run that is resumed at step n draws what the uninterrupted run drew.
 */
export class RandomStream {
  readonly #generator: RandomGenerator;

  constructor(seed: number, name: string, ...counters: readonly number[]) {
    const digest = createHash('sha256')
      .update(`${seed}/${name}/${counters.join('/')}`)
      .digest();
    this.#generator = xoroshiro128plusFromState([0, 4, 8, 12].map((offset) => digest.readInt32LE(offset)));
  }

  /** A uniform number in [from, to). */
  uniform(from = 0, to = 1): number {
    return from + (to - from) * uniformFloat64(this.#generator);
  }

  /** A uniform whole number in [from, to], both included. */
  integer(from: number, to: number): number {
    return uniformInt(this.#generator, from, to);
  }

  /** A standard normal number (Box-Muller, one of the pair). */
  normal(): number {
    return Math.sqrt(-2 * Math.log(1 - this.uniform())) * Math.cos(2 * Math.PI * this.uniform());
  }

  /** True with the given probability. */
  chance(probability: number): boolean {
    return this.uniform() < probability;
  }

  /** One of the choices, each as likely as the others. */
  pick<T>(choices: readonly T[]): T {
    return choices[this.integer(0, choices.length - 1)];
  }

  /** The whole numbers below `count` in random order (Fisher-Yates). */
  permutation(count: number): Uint32Array {
    const order = Uint32Array.from({ length: count }, (_, index) => index);
    for (let last = count - 1; last > 0; last--) {
      const chosen = this.integer(0, last);
      const value = order[last];
      order[last] = order[chosen];
      order[chosen] = value;
    }
    return order;
  }
}
