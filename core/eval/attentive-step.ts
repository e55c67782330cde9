import type { Engine } from '../engine/contract.js';
import { linear } from '../engine/functions.js';
import { type Tensor, tf } from '../engine/tf.js';
import { labelledGroup, SUPERVISED } from '../methods/fine-tune/method.js';
import type { Method, Networks } from '../methods/method.js';
import { attentivePool, poolerShapes, poolerValue } from '../nn/attentive-pooler.js';
import { parameter } from '../nn/parameters.js';
import type { VitSize } from '../nn/sizes.js';
import { adamw } from '../optim/adamw.js';
import { clipTogether } from '../optim/clip.js';
import { prepareGradients } from '../train/gradients.js';
import { splitBatch } from '../train/parts.js';
import { initialState } from '../train/state.js';
import { updateNetworks } from '../train/update.js';

/*
 * What a step of the attentive probe computes.
 *
 * Letters: B images, N patches, D width, C classes.
 */

/** PyTorch's. */
const ADAM = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 } as const;

/** What is trained: `pooler` and `linear`, on tokens and labels that each image of a batch brings as numbers. */
export function attentiveMethod(size: VitSize, classes: number): Method<{ logits: Tensor }> {
  const { dim } = size;
  const bound = 1 / Math.sqrt(dim);
  return {
    networks: {
      pooler: { shapes: poolerShapes(size), role: { by: 'gradient' }, init: poolerValue },
      linear: {
        shapes: { weight: [classes, dim], bias: [classes] },
        role: { by: 'gradient' },
        // PyTorch's nn.Linear.
        init: (_, shape, stream) =>
          Float32Array.from(
            { length: shape.reduce((all, side) => all * side) },
            () => bound * (2 * stream.uniform() - 1),
          ),
      },
    },
    views: [],
    encoders: {},
    sizes: {},
    ...SUPERVISED,
    outputs: (networks, { values }) => ({ logits: attentiveLogits(size, networks, values.tokens) }),
  };
}

/** W pool(x) + b: [B, N, D] -> [B, C] */
export function attentiveLogits(size: VitSize, { pooler = {}, linear: last = {} }: Networks, tokens: Tensor): Tensor {
  return linear(attentivePool(pooler, size, tokens), parameter(last, 'weight'), parameter(last, 'bias'));
}

/** Images that are computed together: their tokens [b, N, D] and labels [b]. */
export type TokenPiece = { tokens: Float32Array; shape: readonly [number, number, number]; labels: Int32Array };

/** Prepares a step of AdamW, whose gradients are cut to a norm together. The given state is used up. */
export function prepareAttentiveStep(engine: Engine, method: Method, classes: number, clip: number) {
  const optimiser = adamw(engine, ADAM);
  const gradientsOf = prepareGradients(engine, method, 0, 1);
  const cut = engine.compile((gradients: Networks) => clipTogether(gradients, clip));
  const start = (seed: number, networks?: Networks) => initialState(method, optimiser.slotNames, seed, networks);
  /** @param pieces those of a batch of so many images, of which one at a time is in memory; their gradients are added up */
  const step = async (
    state: ReturnType<typeof start>,
    pieces: AsyncIterable<TokenPiece>,
    images: number,
    rates: { learningRate: number; weightDecay: number },
  ) => {
    let loss = 0;
    let sum: Networks | null = null;
    for await (const { tokens, shape, labels } of pieces) {
      const group = labelledGroup(labels, classes, 0);
      const groups = [{ ...group, values: { ...group.values, tokens: { shape: [...shape], values: tokens } } }];
      const batch = { views: {}, groups, total: images };
      const parts = splitBatch([], {}, batch, { state: {}, rates: {} }, labels.length, 1);
      const { gradients, ...others } = await gradientsOf(state.networks, parts, state.step + 1);
      loss += (await others.loss.data())[0];
      sum = sum === null ? gradients : await addUp(engine, sum, gradients);
      tf.dispose([parts, others]);
    }
    if (sum === null) throw new Error('a batch has no images');
    const gradients = await cut(sum);
    const { weightNorm, ...next } = await updateNetworks(method, optimiser, state, gradients, rates);
    tf.dispose([sum, gradients]);
    return { state: { ...state, ...next, step: state.step + 1 }, loss, isFinite: Number.isFinite(loss + weightNorm) };
  };
  return { start, step };
}

/** The sums of gradients, both of which are used up. */
async function addUp(engine: Engine, sum: Networks, addends: Networks): Promise<Networks> {
  const sums: Record<string, Record<string, Tensor>> = {};
  for (const [network, own] of Object.entries(addends)) {
    sums[network] = {};
    for (const [name, addend] of Object.entries(own)) {
      sums[network][name] = await engine.accumulate(sum[network][name], addend);
    }
  }
  return sums;
}
