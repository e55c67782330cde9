import { mapValues } from '../base/map-values.js';
import type { Engine } from '../engine/contract.js';
import { type Tensor, tf } from '../engine/tf.js';
import type { Optimiser, ParameterStep } from './optimiser.js';

/** Added to norms, as PyTorch's `clip_grad_norm_` and the official code of DINO do. */
const EPSILON = 1e-6;

/**
 * An optimiser that sees the gradient of each parameter cut to a norm c:
 *
 *   g ← g min(1, c / (‖g‖ + 1e-6))
 *
 * Every parameter has a norm of its own (DINO's `clip_gradients`), so that nothing has to be known of the others: ranks that
 * share the parameters cut them as one that has all. Gradients below the norm keep their bits.
 */
export function clipping(engine: Pick<Engine, 'compile'>, optimiser: Optimiser, largestNorm: number): Optimiser {
  const clip = engine.compile((gradient: Tensor) =>
    tf.tidy(() => {
      const norm = gradient.square().sum().sqrt();
      return gradient.mul(tf.minimum(tf.div(largestNorm, norm.add(EPSILON)), 1));
    }),
  );
  return {
    ...optimiser,
    async update(group) {
      const cut: ParameterStep[] = [];
      for (const parameter of group) cut.push({ ...parameter, gradient: await clip(parameter.gradient) });
      const updated = await optimiser.update(cut);
      tf.dispose(cut.map(({ gradient }) => gradient));
      return updated;
    },
  };
}

/**
 * Gradients cut to a norm c together: g ← g min(1, c / (‖all gradients‖ + 1e-6)), PyTorch's `clip_grad_norm_`.
 * @returns new tensors
 */
export function clipTogether<Groups extends Readonly<Record<string, Readonly<Record<string, Tensor>>>>>(
  gradients: Groups,
  largestNorm: number,
): Groups {
  return tf.tidy(() => {
    const all = Object.values(gradients).flatMap((group) => Object.values(group));
    const norm = tf.addN(all.map((gradient) => gradient.square().sum())).sqrt();
    const factor = tf.minimum(tf.div(largestNorm, norm.add(EPSILON)), 1);
    return mapValues(gradients, (group) => mapValues(group, (gradient) => gradient.mul(factor))) as Groups;
  });
}
