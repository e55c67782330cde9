import type { Engine } from './contract.js';
import { type Tensor, tf } from './tf.js';

/** Side of the matrices whose product is timed. */
const SIDE = 512;
/** Milliseconds after which no further try is made. */
const PATIENCE = 500;

/** How fast an engine multiplies matrices: the best of some tries, in 10⁹ operations a second. */
export async function measureMatMul(engine: Engine): Promise<number> {
  // The sum keeps the product from being copied out, which is no part of the multiplication.
  const product = engine.compile((a: Tensor, b: Tensor) => tf.tidy(() => tf.matMul(a, b).sum()));
  const [a, b] = [tf.ones([SIDE, SIDE]), tf.ones([SIDE, SIDE])];
  let best = Number.POSITIVE_INFINITY;
  const begun = performance.now();
  while (performance.now() - begun < PATIENCE) {
    const started = performance.now();
    const sum = await product(a, b);
    await sum.data();
    best = Math.min(best, performance.now() - started);
    sum.dispose();
  }
  tf.dispose([a, b]);
  return (2 * SIDE ** 3) / best / 1e6;
}
