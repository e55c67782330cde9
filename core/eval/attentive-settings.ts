import { z } from 'zod';

/** How an attentive probe is trained. */
export const attentiveSettings = z.object({
  epochs: z.int().min(1),
  /** All images where there are fewer. */
  batchSize: z.int().min(1),
  /** At the beginning, whatever the batch; a cosine leads to 0. */
  learningRate: z.number(),
  /** At the beginning; a cosine leads to `finalWeightDecay`. */
  weightDecay: z.number(),
  finalWeightDecay: z.number(),
  /** Largest norm of all gradients together. */
  clip: z.number(),
});
export type AttentiveSettings = z.infer<typeof attentiveSettings>;

/**
 * ImageNet's, in the official code of V-JEPA (`configs/evals/vitl16_in1k.yaml`, 64 GPUs with 16 images each). The paper (appendix
 * D.1, table 9) has the same but a weight decay of 0.01 that stays.
 */
const PAPER: AttentiveSettings = {
  epochs: 20,
  batchSize: 1024,
  learningRate: 1e-3,
  weightDecay: 1e-3,
  finalWeightDecay: 1e-6,
  clip: 1,
};
/** Steps that small data take at least: 20 epochs of 2,000 images would be 40 of the paper's. */
const LEAST_STEPS = 500;

/** The paper's, or the same for small data: batches of a sixteenth of the images (16 to 256) and at least 500 steps. */
export function attentiveProtocol(name: 'paper' | 'quick', images: number): AttentiveSettings {
  if (name === 'paper') return PAPER;
  const batchSize = Math.min(256, Math.max(16, Math.floor(images / 16)));
  return {
    ...PAPER,
    batchSize,
    epochs: Math.max(PAPER.epochs, Math.ceil(LEAST_STEPS / Math.ceil(images / batchSize))),
  };
}
